//! An interface as the kernel knows it: its address for sockets, its peer, and what it lost.

use std::fs;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::LinkAddr;

use crate::control::bench::live::LiveBenchError;
use crate::control::ethtool;
use crate::control::tool;

/// Counters of an interface that tell of frames lost on the way in.
const LOSSES: [&str; 4] = ["rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_over_errors"];

/// An interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Its address for packet sockets.
    pub(super) link: LinkAddr,
}

impl Interface {
    /// Finds one in this network namespace.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or it is down.
    pub(super) fn find(name: &str) -> Result<Self, LiveBenchError> {
        let missing = || LiveBenchError::NoInterface(name.to_owned());
        let mut all = getifaddrs().map_err(|_why| missing())?;
        let found = all.find_map(|entry| {
            let same = entry.interface_name == name;
            let link = entry.address?.as_link_addr().copied().filter(|_| same)?;
            Some((link, entry.flags.contains(InterfaceFlags::IFF_UP)))
        });
        let (link, is_up) = found.ok_or_else(missing)?;
        if !is_up {
            return Err(LiveBenchError::Down(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), link })
    }

    /// Finds the other end of a veth pair, where it is in this network namespace.
    pub(super) fn peer(&self) -> Option<Self> {
        let number = |name: &str, what: &str| sysfs(name, what)?.parse::<usize>().ok();
        let own = self.link.ifindex();
        let other = number(&self.name, "iflink")?;
        if other == own || driver(&self.name)? != "veth" {
            return None;
        }
        let names = fs::read_dir("/sys/class/net").ok()?;
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut peers = names.filter(|name| {
            number(name, "ifindex") == Some(other) && number(name, "iflink") == Some(own)
        });
        Self::find(&peers.next()?).ok()
    }

    /// Returns the bytes of payload that one frame takes.
    pub(super) fn mtu(&self) -> usize {
        sysfs(&self.name, "mtu").and_then(|mtu| mtu.parse().ok()).unwrap_or(1_500)
    }

    /// Returns how many frames it says to have lost on the way in, so far.
    pub(super) fn lost(&self) -> u64 {
        let count = |what: &&str| sysfs(&self.name, &format!("statistics/{what}"))?.parse().ok();
        LOSSES.iter().filter_map(count).fold(0, u64::saturating_add)
    }
}

/// Returns what the kernel says of an interface.
pub(super) fn sysfs(interface: &str, what: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/sys/class/net/{interface}/{what}")).ok()?;
    Some(text.trim().to_owned())
}

/// Returns the name of an interface's driver.
pub(super) fn driver(interface: &str) -> Option<String> {
    let link = fs::read_link(format!("/sys/class/net/{interface}/device/driver"));
    let name = link.ok().and_then(|path| path.file_name()?.to_str().map(str::to_owned));
    name.or_else(|| ethtool::pairs(&ethtool(&["-i", interface])?).remove("driver"))
}

/// Returns what ethtool says, where it is installed and knows.
pub(super) fn ethtool(arguments: &[&str]) -> Option<String> {
    tool::run(&[&["ethtool"], arguments].concat(), tool::PATIENCE).ok()
}
