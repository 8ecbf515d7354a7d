//! The detail of a reason: which date, tag, marking or network of an attribute leaves it out.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::intel::Attribute;
use crate::control::intel::IntelOptions;
use crate::control::intel::catalog::written;
use crate::control::intel::filter::Around;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::Remark;
use crate::control::intel::said::time;
use crate::model::marking::Tlp;
use crate::model::refang::refang;
use crate::model::refusal::Refusal;
use crate::model::special::special_of;
use crate::model::time::Timestamp;

/// Says what makes a reason true of an attribute; empty where the reason says all.
pub(super) fn detail(
    why: Remark,
    attribute: &Attribute<'_>,
    around: &Around<'_>,
    options: &IntelOptions,
) -> String {
    let Remark::LeftOut(why) = why else { return String::new() };
    match why {
        LeftOut::Tags => options.filter.refusal(around.tags).unwrap_or_default(),
        LeftOut::Tlp => {
            let marked = Tlp::strictest(around.tags.iter().copied()).map_or("", Tlp::name);
            match options.filter.tlp_max {
                Some(tlp) => format!("it is {marked}, taken is {} at most", tlp.name()),
                None => format!("it is {marked}"),
            }
        }
        LeftOut::Expired => {
            let is_seen = time(attribute.last_seen).is_some_and(|seen| seen.secs() != 0);
            let what = if is_seen { "last seen" } else { "changed" };
            let days = options.filter.validity.days_max.unwrap_or_default();
            let (then, now) = (date(around.last_secs), date(around.now_secs));
            format!("{what} {then}, judged at {now}, {days} days at most")
        }
        LeftOut::Ended => {
            format!("valid until {}, judged at {}", attribute.valid_until, date(around.now_secs))
        }
        LeftOut::Refused(refusal) => network(refusal, attribute.value, options),
        _ => String::new(),
    }
}

/// Names the networks that an address of a value lies in, where they are why it is refused.
fn network(refusal: Refusal, value: &str, options: &IntelOptions) -> String {
    let bare = refang(value);
    let nets = bare.split('|').filter_map(|half| {
        let one = || half.trim().parse::<IpAddr>().map(IpNet::from);
        half.trim().parse::<IpNet>().or_else(|_| one()).ok()
    });
    let own = &options.policy.own_networks;
    let found = nets.filter_map(|net| match refusal {
        Refusal::SpecialPurpose => special_of(net),
        Refusal::OwnNetwork => {
            own.iter().find(|own| own.contains(&net) || net.contains(*own)).copied()
        }
        _ => None,
    });
    found.map(|net| format!("of {net}")).next().unwrap_or_default()
}

/// Returns a time in RFC 3339.
fn date(secs: u32) -> String {
    written(Timestamp::new(u64::from(secs), 0)).unwrap_or_default()
}
