//! Each check on little trees that look like a host: what is there, what is found, what mends it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::control::config::Config;
use crate::control::doctor::ALL;
use crate::control::doctor::examine;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Configured;
use crate::control::doctor::host::Host;
use crate::control::doctor::interfaces;
use crate::control::doctor::still_there;
use crate::control::doctor::table;
use crate::control::doctor::tool;

/// Files of a tree: a text, or "-> target" for a link, or "!why" for a program that refuses.
type Tree<'t> = &'t [(&'t str, &'t str)];

/// Eight CPUs, and a NIC `eth1` with an interface.
const MACHINE: Tree<'_> = &[
    ("sys/devices/system/cpu/online", "0-7"),
    ("sys/class/net/eth1/flags", "0x1003"),
    ("sys/class/net/eth1/carrier", "1"),
    ("sys/class/net/eth1/device/driver", "-> ../../../bus/pci/drivers/ixgbe"),
    ("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n"),
];

const CONFIG: &str = "[[capture]]\ninterface = \"eth1\"\nthreads = 4\nring_mebibytes = 256\n\
    [[intel]]\npath = \"/feed\"\n[[sink]]\ntype = \"file\"\npath = \"/alerts/a.jsonl\"\n";

fn lay(folder: &Path, tree: Tree<'_>) {
    for (path, text) in tree {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, &path).expect("linked"),
            None => fs::write(&path, text).expect("written"),
        }
    }
}

/// Plays programs from the files `run/PROGRAM ARGUMENTS`.
fn recorded(host: &Host, arguments: &[&str]) -> Result<String, Unknown> {
    let program = arguments[0];
    let Ok(text) = fs::read_to_string(host.root.join("run").join(arguments.join(" "))) else {
        return Err(tool::absent(program));
    };
    match text.strip_prefix('!') {
        Some(line) => Err(tool::refused(program, line)),
        None => Ok(text),
    }
}

fn host(root: &Path, config: Option<&str>) -> Host {
    let configured = |text: &str| Configured {
        path: PathBuf::from("t.toml"),
        config: Config::parse(text).expect("sound"),
    };
    Host {
        root: root.to_owned(),
        tool: recorded,
        patience: Cell::new(Duration::ZERO),
        config: config.map(configured),
        now: SystemTime::now(),
        earlier: BTreeMap::new(),
    }
}

fn found(tree: Tree<'_>, config: Option<&str>, check: &str) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), MACHINE);
    lay(folder.path(), tree);
    let all = examine(&host(folder.path(), config), &["eth1".to_owned()]);
    all.into_iter().filter(|finding| finding.check == check).collect()
}

/// A finding in one line: "level found | mend".
fn line(finding: &Finding) -> String {
    let mend = finding.mend.as_ref().map(|mend| format!(" | {mend}")).unwrap_or_default();
    format!("{} {}{mend}", finding.level.name(), finding.found)
}

/// A tree, a check, what it finds there.
fn check(tree: Tree<'_>, name: &str, expected: &[&str]) {
    configured(tree, None, name, expected);
}

/// The same with a configuration.
fn configured(tree: Tree<'_>, config: Option<&str>, name: &str, expected: &[&str]) {
    let lines: Vec<String> = found(tree, config, name).iter().map(line).collect();
    assert_eq!(lines, expected, "{name}");
}

#[test]
fn every_check_has_a_name_of_its_own_and_a_meaning() {
    let mut ids: Vec<&str> = ALL.iter().map(|check| check.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), ALL.len());
    assert!(ALL.iter().all(|check| check.id.contains('.') && check.means.len() > 10));
}

#[test]
fn the_link_is_looked_at() {
    let net = "sys/class/net/eth1";
    check(&[], "link.state", &["ok up, with a signal"]);
    let down: Tree<'_> = &[("sys/class/net/eth1/flags", "0x1002")];
    check(down, "link.state", &["fail down | ip link set dev eth1 up"]);
    let dark: Tree<'_> = &[("sys/class/net/eth1/carrier", "0")];
    let mend = "see to the cable, the optics and the switch: ethtool eth1";
    check(dark, "link.state", &[&format!("fail up, without a signal | {mend}")]);
    let fast: Tree<'_> =
        &[(&format!("{net}/speed"), "10000\n"), (&format!("{net}/duplex"), "full\n")];
    check(fast, "link.speed", &["ok 10000 Mbit/s, full duplex"]);
    let half: Tree<'_> =
        &[(&format!("{net}/speed"), "100\n"), (&format!("{net}/duplex"), "half\n")];
    let mend = "ethtool -s eth1 duplex full";
    check(half, "link.speed", &[&format!("warn 100 Mbit/s, half duplex | {mend}")]);
    check(
        &[(&format!("{net}/speed"), "-1\n")],
        "link.speed",
        &["note no speed: virtual, or without a signal"],
    );
    check(&[], "link.driver", &["ok ixgbe"]);
    let long: Tree<'_> =
        &[(&format!("{net}/mtu"), "1500"), (&format!("{net}/statistics/rx_length_errors"), "12")];
    let line = "warn 1500 bytes, 12 frames of a wrong length | ip link set dev eth1 mtu 9216";
    check(long, "link.mtu", &[line]);
    check(
        &[(&format!("{net}/mtu"), "9000")],
        "link.mtu",
        &["ok 9000 bytes, 0 frames of a wrong length"],
    );
    let pause =
        |tx: &str, rx: &str| format!("Pause parameters for eth1:\nRX:\t\t{rx}\nTX:\t\t{tx}\n");
    for (tx, rx, expected) in [
        ("on", "on", "warn pause frames are sent | ethtool -A eth1 autoneg off rx off tx off"),
        ("off", "on", "note pause frames are obeyed, none is sent"),
        ("off", "off", "ok no pause frames"),
    ] {
        check(&[("run/ethtool -a eth1", &pause(tx, rx))], "link.pause", &[expected]);
    }
}

fn of_max(kind: &str, most: &str, now: &str) -> String {
    format!(
        "Parameters for eth1:\nPre-set maximums:\n{kind}:\t{most}\nOther:\tn/a\n\
         Current hardware settings:\n{kind}:\t{now}\nOther:\tn/a\n"
    )
}

#[test]
fn rings_and_queues_are_looked_at() {
    let ring = |most, now, expected: &str| {
        check(&[("run/ethtool -g eth1", &of_max("RX", most, now))], "ring.slots", &[expected]);
    };
    ring("4096", "512", "warn 512 of 4096 slots in use | ethtool -G eth1 rx 4096");
    ring("8192", "4096", "ok 4096 of 8192 slots in use");
    ring("256", "256", "ok 256 of 256 slots in use");
    ring("n/a", "n/a", "unknown the driver does not tell");
    let refused = "!netlink error: Operation not supported";
    check(&[("run/ethtool -g eth1", refused)], "ring.slots", &["unknown the driver does not tell"]);
    let absent =
        "unknown ethtool is not installed | apt-get install ethtool || dnf install ethtool";
    check(&[], "ring.slots", &[absent]);
    let queues = |kind, most, now, expected: &str| {
        check(&[("run/ethtool -l eth1", &of_max(kind, most, now))], "ring.queues", &[expected]);
    };
    queues("Combined", "63", "8", "ok 8 of 63 queues in use, 8 CPUs");
    queues(
        "Combined",
        "63",
        "1",
        "warn 1 of 63 queues in use, 8 CPUs | ethtool -L eth1 combined 8",
    );
    queues(
        "Combined",
        "63",
        "63",
        "note 63 of 63 queues in use, 8 CPUs | ethtool -L eth1 combined 8",
    );
    queues("RX", "4", "2", "note 2 of 4 queues in use, 8 CPUs | ethtool -L eth1 rx 4");
    let one = "sys/class/net/eth1/queues/rx-0/rps_cpus";
    let mend = "echo ff > /sys/class/net/eth1/queues/rx-0/rps_cpus";
    let line = format!("note one queue, and no CPU shares its packets | {mend}");
    check(&[(one, "00000000,00000000\n")], "ring.steering", &[&line]);
    check(&[(one, "fe\n")], "ring.steering", &["ok one queue, shared by the CPUs of mask fe"]);
    let two = "sys/class/net/eth1/queues/rx-1/rps_cpus";
    check(&[(one, "00\n"), (two, "00\n")], "ring.steering", &[]);
}

#[test]
fn offloads_are_looked_at() {
    let features = "Features for eth1:\ngeneric-receive-offload: GRO\n\
        large-receive-offload: LRO\nrx-vlan-offload: on\nrx-gro-hw: off [fixed]\n\
        rx-vlan-filter: on\n";
    let with = |gro: &str, lro: &str| features.replace("GRO", gro).replace("LRO", lro);
    let look = |text: &str, config, name, expected: &[&str]| {
        configured(&[("run/ethtool -k eth1", text)], config, name, expected);
    };
    look(&with("off", "on"), None, "offload.lro", &["warn on | ethtool -K eth1 lro off"]);
    let fixed = "warn on, and the driver cannot do without";
    look(&with("off", "on [fixed]"), None, "offload.lro", &[fixed]);
    look(&with("off", "off [fixed]"), None, "offload.lro", &["ok off"]);
    look("", None, "offload.lro", &["unknown the driver does not tell"]);
    let note = "note gro on: times of merged segments go | ethtool -K eth1 gro off";
    look(&with("on", "off"), None, "offload.gro", &[note]);
    look(&with("on", "off"), Some(CONFIG), "offload.gro", &[note]);
    let short = CONFIG.replace("threads = 4", "snap_bytes = 2048");
    let cut = "warn gro on, and snap_bytes of 2048 cuts what it makes | ethtool -K eth1 gro off";
    look(&with("on", "off"), Some(&short), "offload.gro", &[cut]);
    look(&with("off", "off"), Some(&short), "offload.gro", &["ok off"]);
    let back = "ok taken off by the NIC, put back by the sensor";
    look(&with("off", "off"), Some(CONFIG), "offload.vlan", &[back]);
    let modest = CONFIG.replace("threads = 4", "promiscuous = false");
    let filter = "warn rx-vlan-filter on, and promiscuous = false | \
        ethtool -K eth1 rx-vlan-filter off";
    look(&with("off", "off"), Some(&modest), "offload.vlan", &[filter, back]);
}

#[test]
fn the_spread_over_queues_is_looked_at() {
    let spread = "RX flow hash indirection table for eth1 with 4 RX ring(s):\n    \
        0:      0     1     2     3\nRSS hash key:\n6d:5a:56:da\nRSS hash function:\n\
        \x20   toeplitz: on\n";
    let look = |text: &str, name, expected: &str| {
        check(&[("run/ethtool -x eth1", text)], name, &[expected]);
    };
    look(spread, "rss.table", "ok flows go to 4 of 4 queues");
    let idle = spread.replace("1     2     3", "0     0     0");
    look(&idle, "rss.table", "warn flows go to 1 of 4 queues | ethtool -X eth1 equal 4");
    look(
        &spread.replace("56:da", "6d:5a"),
        "rss.symmetry",
        "ok both directions of a flow come to one queue",
    );
    let line = "note the directions of a flow come to different queues, and may change their \
        order | ethtool -X eth1 hkey 6d:5a:6d:5a equal 4";
    look(spread, "rss.symmetry", line);
    let virtio = "RX flow hash indirection table for eth1 with 1 RX ring(s):\nOperation not \
        supported\nRSS hash key:\nOperation not supported\n";
    look(virtio, "rss.table", "ok one queue");
    look(virtio, "rss.fields", "ok one queue");
    let addresses = "use these fields:\nIP SA\nIP DA\n";
    let ports = "use these fields:\nIP SA\nIP DA\nL4 bytes 0 & 1 [TCP/UDP src port]\n";
    let fields: Tree<'_> = &[
        ("run/ethtool -n eth1 rx-flow-hash tcp4", ports),
        ("run/ethtool -n eth1 rx-flow-hash tcp6", addresses),
        ("run/ethtool -n eth1 rx-flow-hash udp4", addresses),
    ];
    let warned = "warn tcp6: addresses alone | ethtool -N eth1 rx-flow-hash tcp6 sdfn";
    let fine = ["ok tcp4: addresses and ports", "ok udp4: addresses alone"];
    check(fields, "rss.fields", &[warned, fine[0], fine[1]]);
}

const IRQS: &str = "           CPU0       CPU1\n 40:  1  2  PCI-MSI-0000:03:00.0   0-edge      \
    eth1-TxRx-0\n 41:  1  2  PCI-MSI   1-edge  eth1-TxRx-1\n 42:  1  2  PCI-MSI   2-edge  eth1\n \
    43:  1  2  PCI-MSI   2-edge  eth10-TxRx-0\nNMI: 0 0 Non-maskable interrupts\n";

#[test]
fn interrupts_are_looked_at() {
    let served = |one: &str, other: &str, more: Tree<'_>, name, expected: &[&str]| {
        let own: Tree<'_> = &[
            ("proc/interrupts", IRQS),
            ("proc/irq/40/smp_affinity_list", one),
            ("proc/irq/41/smp_affinity_list", other),
        ];
        check(&[own, more].concat(), name, expected);
    };
    let spread = "echo 0 > /proc/irq/40/smp_affinity_list; \
        echo 1 > /proc/irq/41/smp_affinity_list";
    let one = "2 interrupts of receive queues on CPU";
    served("3", "3", &[], "irq.affinity", &[&format!("warn {one} 3 | {spread}")]);
    served("3", "4", &[], "irq.affinity", &[&format!("ok {one} 3-4")]);
    let effective: Tree<'_> = &[
        ("proc/irq/40/effective_affinity_list", "5"),
        ("proc/irq/41/effective_affinity_list", "5"),
    ];
    served("0-7", "0-7", effective, "irq.affinity", &[&format!("warn {one} 5 | {spread}")]);
    check(&[("proc/interrupts", "")], "irq.affinity", &["unknown no interrupts of its own"]);
    served("3", "3", &[], "irq.numa", &["ok one node"]);
    let nodes: Tree<'_> = &[
        ("sys/devices/system/node/online", "0-1"),
        ("sys/class/net/eth1/device/numa_node", "1"),
        ("sys/class/net/eth1/device/local_cpulist", "4-7"),
    ];
    let kept = "note node 1: the sensor is best kept on CPU 4-7 | systemctl set-property \
        tapsieve.service AllowedCPUs=4-7 AllowedMemoryNodes=1";
    served("4", "5", nodes, "irq.numa", &[kept, "ok node 1, interrupts on its CPUs"]);
    let far = "warn node 1, interrupts on CPU 0 of another | \
        echo 4 > /proc/irq/40/smp_affinity_list; echo 5 > /proc/irq/41/smp_affinity_list";
    served("0", "5", nodes, "irq.numa", &[far, kept]);
    let runs = "note irqbalance runs, and moves what was put in place by hand | \
        systemctl disable --now irqbalance";
    check(&[("proc/77/comm", "irqbalance\n")], "irq.balance", &[runs]);
    check(&[("proc/77/comm", "sshd\n")], "irq.balance", &["ok irqbalance does not run"]);
}

#[test]
fn losses_are_judged_by_their_share() {
    let lost = |missed: &str, packets: &str, expected: &str| {
        let folder = "sys/class/net/eth1/statistics";
        let ring = of_max("RX", "4096", "512");
        let tree: Tree<'_> = &[
            (&format!("{folder}/rx_missed_errors"), missed),
            (&format!("{folder}/rx_fifo_errors"), "0"),
            (&format!("{folder}/rx_packets"), packets),
            ("run/ethtool -g eth1", &ring),
        ];
        check(tree, "loss.nic", &[expected]);
    };
    lost("0", "1000", "ok nothing, in 2 counters");
    lost("1", "1000000", "note rx_missed_errors 1 of 1000000 packets");
    let mend = "ethtool -G eth1 rx 4096";
    lost("10", "1000000", &format!("warn rx_missed_errors 10 of 1000000 packets | {mend}"));
    let driver = "NIC statistics:\n     rx_queue_0_drops: 0\n     rx_out_of_buffer: 7\n     \
        tx_dropped: 9\n     fdir_miss: 99\n     rx_no_dma_resources: 0\n";
    let tree: Tree<'_> = &[("run/ethtool -S eth1", driver)];
    check(tree, "loss.driver", &["warn rx_out_of_buffer 7 of 0 packets"]);
    let crc = |n| {
        let folder = "sys/class/net/eth1/statistics";
        let names = ["rx_crc_errors", "rx_frame_errors"].map(|name| format!("{folder}/{name}"));
        found(&[(&names[0], n), (&names[1], "0")], None, "loss.broken")
    };
    assert_eq!(line(&crc("0")[0]), "ok 0 frames arrived broken");
    assert!(line(&crc("3")[0]).starts_with("warn 3 frames arrived broken | change the cable"));
}

#[test]
fn the_backlog_is_looked_at() {
    let softnet = |text: &str, expected: &[&str]| {
        let tree: Tree<'_> = &[
            ("proc/net/softnet_stat", text),
            ("proc/sys/net/core/netdev_max_backlog", "1000"),
            ("proc/sys/net/core/netdev_budget", "300"),
            ("proc/sys/net/core/netdev_budget_usecs", "2000"),
        ];
        check(tree, "loss.softnet", expected);
    };
    let calm = "ok 0 rounds cut short, netdev_budget 300, netdev_budget_usecs 2000";
    let none = "ok 0 packets of 272 dropped, netdev_max_backlog 1000";
    softnet("00000100 00000000 00000000\n00000010 00000000 00000000\n", &[none, calm]);
    let dropped = "warn 16 packets of 256 dropped, netdev_max_backlog 1000 | \
        sysctl -w net.core.netdev_max_backlog=16384";
    let squeezed = "warn 5 rounds cut short, netdev_budget 300, netdev_budget_usecs 2000 | \
        sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=4000";
    softnet("00000100 00000010 00000005\n", &[dropped, squeezed]);
    let rare = [
        "note 1 packets of 16777216 dropped, netdev_max_backlog 1000",
        "note 1 rounds cut short, netdev_budget 300, netdev_budget_usecs 2000",
    ];
    softnet("01000000 00000001 00000001\n", &rare);
}

#[test]
fn what_was_lost_before_the_watch_is_not_told() {
    let folder = tempfile::tempdir().expect("folder");
    let base = "sys/class/net/eth1/statistics";
    lay(folder.path(), MACHINE);
    let (missed, fifo) = (format!("{base}/rx_missed_errors"), format!("{base}/rx_fifo_errors"));
    let packets = format!("{base}/rx_packets");
    lay(folder.path(), &[(&missed, "500"), (&fifo, "0"), (&packets, "900")]);
    let mut host = host(folder.path(), None);
    let names = ["eth1".to_owned()];
    host.earlier = super::loss::counters(&host, &names);
    let look = |host: &Host| {
        let all = examine(host, &names);
        all.iter().find(|finding| finding.check == "loss.nic").map(line).expect("there")
    };
    assert_eq!(look(&host), "ok nothing, in 2 counters");
    lay(folder.path(), &[(&missed, "501"), (&packets, "9000900")]);
    // one of nine million, but of those just now
    assert_eq!(look(&host), "warn rx_missed_errors 1 of 9000000 packets");
}

#[test]
fn cpus_are_looked_at() {
    let set = "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
    let governor = |cpu: u32| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
    let (first, second) = (governor(0), governor(1));
    check(&[], "cpu.governor", &["note none: the firmware or the hypervisor decides"]);
    check(
        &[(&first, "performance\n"), (&second, "powersave\n")],
        "cpu.governor",
        &[&format!("warn powersave on CPU 1 | {set}"), "ok performance on CPU 0"],
    );
    let smt = "sys/devices/system/cpu/smt/active";
    check(&[(smt, "1")], "cpu.smt", &["note two threads share a core: count cores, not CPUs"]);
    check(&[(smt, "0")], "cpu.smt", &["ok each CPU is a core"]);
    let isolated = "sys/devices/system/cpu/isolated";
    check(&[(isolated, "\n")], "cpu.isolated", &["ok none is isolated"]);
    let line = "note CPU 4-7 isolated: the sensor does not run there";
    check(&[(isolated, "4-7\n")], "cpu.isolated", &[line]);
    check(&[], "cpu.threads", &[]);
    let fits = "ok 4 capture threads and at least 1 workers on 8 CPUs";
    configured(&[], Some(CONFIG), "cpu.threads", &[fits]);
    let many = "warn 4 capture threads and at least 5 workers on 8 CPUs | fewer `threads` or \
        `count` in t.toml";
    let config = format!("{CONFIG}[workers]\ncount = 5\n");
    configured(&[], Some(&config), "cpu.threads", &[many]);
}

#[test]
fn the_kernel_and_its_limits_are_looked_at() {
    let release = "proc/sys/kernel/osrelease";
    check(&[(release, "6.1.0-23-amd64\n")], "kernel.version", &["ok Linux 6.1.0-23-amd64"]);
    let old = found(&[(release, "3.10.0-1160.el7\n")], None, "kernel.version");
    assert!(line(&old[0]).starts_with("warn Linux 3.10.0-1160.el7, older than 4.18 |"), "{old:?}");
    check(
        &[],
        "kernel.version",
        &["unknown /proc/sys/kernel/osrelease: No such file or directory (os error 2)"],
    );
    let jit = "proc/sys/net/core/bpf_jit_enable";
    check(&[(jit, "1")], "kernel.filter", &["ok filters are compiled"]);
    let filtered = CONFIG.replace("threads = 4", "filter = \"ip\"");
    let slow = "warn filters are interpreted, and one is set | \
        sysctl -w net.core.bpf_jit_enable=1";
    configured(&[(jit, "0")], Some(&filtered), "kernel.filter", &[slow]);
    let maps = |version: &str| format!("7f00-7f01 r-xp 0 fd:00 1  /usr/lib/libpcap.so.{version}\n");
    check(&[("proc/self/maps", &maps("1.10.3"))], "kernel.libpcap", &["ok libpcap 1.10.3"]);
    let old = found(&[("proc/self/maps", &maps("1.8.1"))], None, "kernel.libpcap");
    assert!(line(&old[0]).starts_with("warn libpcap 1.8.1 | "), "{old:?}");
    check(
        &[("proc/self/maps", "")],
        "kernel.libpcap",
        &["unknown part of the program, or not loaded"],
    );
    let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            256      4096    \
        files\nMax locked memory         8388608    8388608   bytes\n";
    let few = "warn 256 open files | ulimit -n 1024   # in the unit: LimitNOFILE=1024";
    check(&[("proc/self/limits", limits)], "limit.files", &[few]);
    let enough = limits.replace("256 ", "20000 ");
    check(&[("proc/self/limits", &enough)], "limit.files", &["ok 20000 open files"]);
    let locked = "ok 8192 KiB; rings do not count against it";
    check(&[("proc/self/limits", limits)], "limit.locked", &[locked]);
    check(&[], "privilege.capture", &["ok CAP_NET_RAW"]);
    let none = "warn no CAP_NET_RAW: started like this, no interface opens | \
        systemctl start tapsieve || sudo tapsieve sensor --config FILE";
    check(&[("proc/self/status", "CapEff:\t0000000000000000\n")], "privilege.capture", &[none]);
}

#[test]
fn memory_is_looked_at() {
    let free = |mebibytes: u64| format!("MemTotal: 1 kB\nMemAvailable: {} kB\n", mebibytes << 10);
    let look = |mebibytes, expected: &str| {
        let tree: Tree<'_> = &[("proc/meminfo", &free(mebibytes))];
        configured(tree, Some(CONFIG), "memory.rings", &[expected]);
    };
    let wanted = "1024 MiB of rings and 274 MiB of flows wanted";
    let mend = "less ring_mebibytes, threads or flows_max in t.toml";
    look(8_000, &format!("ok {wanted}, 8000 MiB free"));
    look(2_000, &format!("warn {wanted}, 2000 MiB free | {mend}"));
    look(1_000, &format!("fail {wanted}, 1000 MiB free | {mend}"));
    let pages = "sys/kernel/mm/transparent_hugepage/enabled";
    let mend = format!("echo always > /{pages}");
    let line = format!("note transparent huge pages: madvise | {mend}");
    check(&[(pages, "always [madvise] never")], "memory.huge_pages", &[&line]);
    let line = "ok transparent huge pages: always";
    check(&[(pages, "[always] madvise never")], "memory.huge_pages", &[line]);
}

#[test]
fn clocks_are_looked_at() {
    let asked = "run/timedatectl show -p NTPSynchronized --value";
    let tracking = "run/chronyc -c tracking";
    let check_sync = |tree: Tree<'_>, expected: &str| {
        let found = found(tree, None, "clock.synchronised");
        assert!(line(&found[0]).starts_with(expected), "{found:?}");
    };
    check_sync(&[(asked, "yes\n")], "ok synchronised, says timedatectl");
    check_sync(&[(asked, "no\n")], "warn not synchronised, says timedatectl | timedatectl");
    let normal = "A1B2C3D4,ntp,2,1700000000.1,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,64.0,Normal\n";
    let down = (asked, "!System has not been booted with systemd");
    check_sync(&[down, (tracking, normal)], "ok synchronised, says chronyc");
    let lost = normal.replace("Normal", "Not synchronised");
    check_sync(&[down, (tracking, &lost)], "warn not synchronised, says chronyc");
    check_sync(&[], "unknown neither timedatectl nor chronyc answers | apt-get install chrony");
    let folder = "sys/devices/system/clocksource/clocksource0";
    let (current, others) =
        (format!("{folder}/current_clocksource"), format!("{folder}/available_clocksource"));
    check(&[(&current, "tsc\n")], "clock.source", &["ok tsc"]);
    let line = format!("warn hpet: each time stamp costs a microsecond | echo tsc > /{current}");
    check(&[(&current, "hpet\n"), (&others, "hpet tsc acpi_pm\n")], "clock.source", &[&line]);
    let soft = "Capabilities:\n\tsoftware-receive\nHardware Receive Filter Modes: none\n";
    let hard = "Capabilities:\n\thardware-receive\n\tsoftware-receive\nFilter Modes:\n\tall\n";
    let stamps = |text, config: Option<&str>, expected: &str| {
        configured(&[("run/ethtool -T eth1", text)], config, "clock.stamps", &[expected]);
    };
    stamps(soft, None, "ok the kernel's, when the driver hands a frame over");
    let could = "ok the kernel's; the NIC could stamp every frame: `clock = \"adapter\"`";
    stamps(hard, Some(CONFIG), could);
    let adapter = CONFIG.replace("threads = 4", "clock = \"adapter\"");
    let its = "note the NIC's, as `clock = \"adapter\"` wants it; its clock must be set, too | \
        phc2sys -s CLOCK_REALTIME -c eth1 -O 0";
    stamps(hard, Some(&adapter), its);
    let not = "fail `clock = \"adapter\"`, but the NIC does not stamp every frame: the sensor does \
        not start | clock = \"host\" in [[capture]]";
    stamps(soft, Some(&adapter), not);
}

#[test]
fn the_places_of_a_configuration_are_looked_at() {
    let absent = ["fail cannot be looked at: No such file or directory | \
        install -d -m 0750 -o tapsieve -g tapsieve /alerts"];
    configured(&[], Some(CONFIG), "disk.room", &absent);
    let there = found(&[("alerts/a.jsonl", "")], Some(CONFIG), "disk.room");
    assert_eq!(there[0].numbers["wanted_bytes"], 3_100 << 20);
    assert!(there[0].numbers["free_bytes"] > 0, "{there:?}");
    let none = "fail no indicators are there | fetch the feed into /feed; \
        systemctl reload tapsieve";
    configured(&[], Some(CONFIG), "intel.age", &[none]);
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), &[("feed/manifest.json", "{}")]);
    let mut host = host(folder.path(), Some(CONFIG));
    let written = fs::metadata(folder.path().join("feed/manifest.json")).expect("there");
    let written = written.modified().expect("a time");
    for (hours, expected) in [
        (1, "ok changed 0 days and 1 hours ago"),
        (
            8 * 24,
            "warn changed 8 days and 0 hours ago | fetch the feed into /feed again; \
            systemctl reload tapsieve",
        ),
    ] {
        host.now = written + Duration::from_secs(hours * 3_600);
        let all = examine(&host, &[]);
        let found = all.iter().find(|finding| finding.check == "intel.age").map(line);
        assert_eq!(found.as_deref(), Some(expected));
    }
}

#[test]
fn the_user_of_a_configuration_is_looked_at() {
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), &[("etc/passwd", "root:x:0:0::/:/bin/sh\nsieve:x:1:1::/:/bin/sh\n")]);
    let mut host = host(folder.path(), Some(CONFIG));
    for (name, expected) in [
        ("sieve", Some("ok there is such a user")),
        (
            "nobody-we-know",
            Some(
                "fail no such user, and [drop] `user` is it | useradd --system \
                 --no-create-home --shell /usr/sbin/nologin nobody-we-know",
            ),
        ),
        // it becomes nobody else
        ("", None),
    ] {
        host.config.as_mut().expect("given").config.confinement.user = name.to_owned();
        let all = examine(&host, &[]);
        let found = all.iter().find(|finding| finding.check == "privilege.user").map(line);
        assert_eq!(found.as_deref(), expected);
    }
}

#[test]
fn interfaces_are_chosen() {
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), MACHINE);
    lay(
        folder.path(),
        &[
            ("sys/class/net/lo/flags", "0x9"),
            ("sys/class/net/down0/flags", "0x1002"),
            ("sys/class/net/up0/flags", "0x1003"),
            ("sys/class/net/eth2/device/driver", "-> x/ice"),
        ],
    );
    let chosen = |config, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
        interfaces(&host(folder.path(), config), &asked)
    };
    assert_eq!(chosen(None, &[]).expect("there"), ["eth1", "eth2", "up0"]);
    assert_eq!(chosen(Some(CONFIG), &[]).expect("there"), ["eth1"]);
    assert_eq!(chosen(Some(CONFIG), &["down0"]).expect("there"), ["down0"]);
    assert_eq!(chosen(None, &["any"]).expect("there"), ["eth1", "eth2", "up0"]);
    // a bond's frames come through the NICs below it
    lay(
        folder.path(),
        &[
            ("sys/class/net/bond0/flags", "0x1403"),
            ("sys/class/net/bond0/lower_eth1", "-> ../eth1"),
            ("sys/class/net/bond0/lower_eth2", "-> ../eth2"),
            ("sys/class/net/bond0.7/lower_bond0", "-> ../bond0"),
        ],
    );
    let all = ["bond0", "bond0.7", "eth1", "eth2"];
    assert_eq!(chosen(None, &["bond0.7"]).expect("there"), all);
    let error = chosen(None, &["eth9"]).expect_err("absent");
    let text = "no interface `eth9`: there are bond0, bond0.7, down0, eth1, eth2, lo, up0";
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_interface_that_went_away_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), MACHINE);
    let host = host(folder.path(), None);
    let gone = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        still_there(&host, &names).err().map(|error| error.to_string())
    };
    assert_eq!(gone(&["eth1"]), None);
    let told = "eth9 went away while it was watched: see to it, and watch again";
    assert_eq!(gone(&["eth1", "eth9"]).as_deref(), Some(told));
}

#[test]
fn the_worst_comes_first_and_is_counted() {
    let folder = tempfile::tempdir().expect("folder");
    lay(folder.path(), MACHINE);
    lay(folder.path(), &[("sys/class/net/eth1/flags", "0x1002")]);
    let findings = examine(&host(folder.path(), None), &["eth1".to_owned()]);
    let text = table::text(&findings, false);
    let first: Vec<&str> = text.lines().take(3).collect();
    assert!(first[0].starts_with("fail     link.state"), "{text}");
    assert_eq!(
        first[1..],
        ["         without a link nothing arrives", "         mend: ip link set dev eth1 up"]
    );
    assert!(!text.contains('\u{1b}'));
    // a program that is missing for many checks is to be installed once
    assert_eq!(text.matches("mend: apt-get install ethtool").count(), 1, "{text}");
    assert!(table::text(&findings, true).starts_with("\u{1b}[1;31mfail   \u{1b}[0m"));
    let json: serde_json::Value =
        serde_json::from_str(&table::json(&["eth1".to_owned()], &findings)).expect("JSON");
    assert_eq!(json["counts"]["fail"], 1);
    assert_eq!(json["findings"][0]["mend"], "ip link set dev eth1 up");
    assert_eq!(json["findings"].as_array().expect("a list").len(), findings.len());
}
