//! Processor time and memory of this process and its threads, and where threads run.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::sched::CpuSet;
use nix::sched::sched_getaffinity;
use nix::sched::sched_setaffinity;
use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::time::ClockId;
use nix::time::clock_gettime;
use nix::unistd::Pid;

/// Returns the processor time of this thread.
pub(super) fn thread_secs() -> f64 {
    secs_of(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// Returns the processor time of all threads of this process.
pub(super) fn process_secs() -> f64 {
    secs_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn secs_of(clock: ClockId) -> f64 {
    clock_gettime(clock).map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Returns the processor time of child processes that have ended.
pub(super) fn children_secs() -> f64 {
    let secs = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |usage| secs(usage.user_time()) + secs(usage.system_time()))
}

/// Returns the processor time of a process that runs, where the kernel tells it.
pub(super) fn secs_of_process(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanos: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanos / 1e9)
}

/// Returns the processor time of each thread of this process by name, where the kernel tells it.
pub(super) fn secs_by_thread() -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return all };
    for path in threads.filter_map(|entry| Some(entry.ok()?.path())) {
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let nanos = read("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok());
        let nanos: f64 = nanos.unwrap_or(0.0);
        *all.entry(read("comm").trim().to_owned()).or_default() += nanos / 1e9;
    }
    all
}

/// Returns the resident memory of a process; `self` is this one.
pub(super) fn resident_bytes(pid: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Lets this thread, and those that it starts, run on these processors only.
pub(super) fn pin(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Returns the processors that this thread may run on.
pub(super) fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}
