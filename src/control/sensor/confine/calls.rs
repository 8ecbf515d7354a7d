//! seccomp: the system calls that a sensor makes, on x86-64 and aarch64. Any other is refused with
//! EPERM, which libraries know how to live with; nothing is killed.
//!
//! The list is what the tests of the sensor make under strace, and what the same libraries make on
//! other kernels and other C libraries. A feature that needs another call adds it here, with its
//! reason: it shows as "Operation not permitted", and `seccomp = false` proves it.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpArgLen::Qword;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use seccompiler::TargetArch;
use seccompiler::apply_filter_all_threads;

/// Calls that are made whatever their arguments.
const FREE: &[c_long] = &[
    // memory: the allocator, stacks, rings; what makes it executable is below
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    // threads: those of the pipeline and the sinks; sets are compiled on threads that stay
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getcpu,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // signals
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    // time and chance
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // who and where we are: names of hosts, memory, cores
    libc::SYS_capget,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getuid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
    // descriptors
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_pipe2,
    // files: feeds are read and looked at, alerts are written, renamed, removed, spooled
    libc::SYS_copy_file_range,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
    // sockets: interfaces, pages, sinks, resolver, systemd; which kinds is below
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    // waiting
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // refused by the filter before this one: see `programs`
    libc::SYS_clone3,
];

/// Older names of the same: those of x86-64.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_getrlimit,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
/// What aarch64 has of them: `renameat`, a number that the crate does not name.
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[38];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLDER: &[c_long] = &[];

/// Kinds of sockets.
const FAMILIES: [i32; 5] =
    [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Questions to devices: whether one is a terminal and how wide; what waits; not to wait.
const QUESTIONS: [u64; 5] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIONBIO, libc::FIOCLEX];

/// Questions to sockets and interfaces are 0x8900 to 0x89ff.
const OF_SOCKETS: u64 = 0x8900;

/// What may be changed of a process: the names of threads and of memory.
const TRAITS: [i32; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];

/// What makes a new thing a thread, and what would put it into namespaces of its own.
const THREAD: i32 = libc::CLONE_THREAD | libc::CLONE_VM;
const APART: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Filters the calls of every thread that there is, and of those to come; returns what to say of
/// it, or why it is not.
pub(super) fn filter() -> Result<String, String> {
    for program in programs().map_err(|error| error.to_string())? {
        apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    }
    Ok("seccomp".to_owned())
}

/// Two filters. A new thread's flags are an argument of `clone` but lie in memory for `clone3`,
/// where no filter can see them: C libraries take the former when the latter is not there.
fn programs() -> Result<[BpfProgram; 2], seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompFilter::new(absent, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    let made = SeccompFilter::new(rules()?, errno(libc::EPERM), SeccompAction::Allow, arch)?;
    Ok([absent.try_into()?, made.try_into()?])
}

fn rules() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |argument, value| condition(argument, SeccompCmpOp::Eq, value);
    let masked = |argument, mask, value| condition(argument, SeccompCmpOp::MaskedEq(mask), value);
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        FREE.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    let families = FAMILIES.map(|family| is(0, bits(family)));
    rules.insert(libc::SYS_socket, families.into_iter().collect::<Result<_, _>>()?);
    let mut questions: Vec<_> = QUESTIONS.map(|question| is(1, question)).into();
    questions.push(masked(1, 0xff00, OF_SOCKETS));
    rules.insert(libc::SYS_ioctl, questions.into_iter().collect::<Result<_, _>>()?);
    let traits = TRAITS.map(|one| is(0, bits(one)));
    rules.insert(libc::SYS_prctl, traits.into_iter().collect::<Result<_, _>>()?);
    // no memory becomes code
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![masked(2, bits(libc::PROT_EXEC), 0)?]);
    }
    // a thread and no process
    let thread = masked(0, bits(THREAD | APART), bits(THREAD))?;
    rules.insert(libc::SYS_clone, vec![thread]);
    // limits are asked for (the size of a thread's stack), never set
    let asked = SeccompCondition::new(2, Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![asked])?]);
    // its own end, where it aborts
    rules.insert(libc::SYS_tgkill, vec![is(0, u64::from(std::process::id()))?]);
    Ok(rules)
}

/// One condition on the lower half of an argument.
fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Dword, operator, value)?])
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::process::Command;

    use nix::sys::socket;
    use nix::sys::socket::AddressFamily;
    use nix::sys::socket::SockFlag;
    use nix::sys::socket::SockType;
    use seccompiler::apply_filter;

    use super::*;

    /// A thread of its own is filtered, and the test is not.
    fn filtered(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || {
            for program in programs().expect("sound") {
                apply_filter(&program).expect("the kernel filters");
            }
            test();
        });
        thread.join().expect("no panic");
    }

    #[test]
    fn what_a_sensor_does_it_may() {
        filtered(|| {
            let folder = tempfile::tempdir().expect("folder");
            let path = folder.path().join("file");
            fs::write(&path, "x").expect("written");
            fs::rename(&path, folder.path().join("other")).expect("renamed");
            assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            let stream = TcpStream::connect(listener.local_addr().expect("has one"));
            stream.expect("connected").set_nonblocking(true).expect("set");
            let sum = std::thread::spawn(|| vec![1_u64; 1 << 20].iter().sum::<u64>());
            assert_eq!(sum.join().expect("no panic"), 1 << 20);
            assert!(std::thread::available_parallelism().is_ok());
        });
    }

    #[test]
    fn what_a_sensor_does_not_do_it_may_not() {
        filtered(|| {
            let refused = |error: io::Error| error.raw_os_error() == Some(libc::EPERM);
            assert!(Command::new("true").spawn().is_err_and(refused));
            let folder = tempfile::tempdir().expect("folder");
            let link = folder.path().join("link");
            assert!(std::os::unix::fs::symlink("/etc/passwd", &link).is_err_and(refused));
            assert!(fs::hard_link("/etc/passwd", &link).is_err_and(refused));
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
            assert!(fs::set_permissions(folder.path(), mode).is_err_and(refused));
            let bluetooth =
                socket::socket(AddressFamily::Bluetooth, SockType::Raw, SockFlag::empty(), None);
            assert_eq!(bluetooth.err(), Some(nix::errno::Errno::EPERM));
            assert_eq!(nix::sys::prctl::set_dumpable(true), Err(nix::errno::Errno::EPERM));
        });
    }
}
