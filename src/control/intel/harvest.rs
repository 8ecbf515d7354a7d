//! The harvest: what one file, or a block of one, gives: patterns that match, their sources, and
//! totals.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use foldhash::fast::RandomState;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::IntelOptions;
use crate::control::intel::Sibling;
use crate::control::intel::catalog::EventRecord;
use crate::control::intel::catalog::SourceRecord;
use crate::control::intel::catalog::written;
use crate::control::intel::composed::Composed;
use crate::control::intel::composed::composed;
use crate::control::intel::detail::detail;
use crate::control::intel::filter::Around;
use crate::control::intel::filter::Filter;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::gate::Meaning;
use crate::control::intel::gate::Note;
use crate::control::intel::gate::meaning;
use crate::control::intel::held::Held;
use crate::control::intel::input::Listed;
use crate::control::intel::input::Stream;
use crate::control::intel::json::TAG_END;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::ledger::Spot;
use crate::control::intel::mate::Mate;
use crate::control::intel::said::known;
use crate::control::intel::said::time;
use crate::control::intel::strings::ListTable;
use crate::control::intel::strings::Strings;
use crate::control::intel::uuid::Uuid;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::Warninglists;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorType;
use crate::model::mark::CONFIDENCE;
use crate::model::mark::DECAYED;
use crate::model::mark::DOWNGRADED;
use crate::model::mark::FALSE_POSITIVES;
use crate::model::mark::INFORMED;
use crate::model::mark::Mark;
use crate::model::mark::SIGHTINGS;
use crate::model::mark::VALID_UNTIL;
use crate::model::mark::is_reserved;
use crate::model::pattern::Pattern;
use crate::model::policy::Usage;
use crate::model::refusal::Refusal;
use crate::model::time::Timestamp;
use crate::model::validity::AsOf;

/// Attributes that a harvest holds before a reader hands it over, where it may.
const FULL: u64 = 16_384;

/// Bytes of the value in an explained row; enough to find it again.
const ROW_VALUE_BYTES_MAX: usize = 512;

/// Bytes of a comment that alerts show.
const COMMENT_BYTES_MAX: usize = 1_024;

/// Takes the harvests of one file.
pub struct Gather<'a> {
    /// What the operator asks.
    pub options: &'a IntelOptions,
    /// The warninglists.
    pub lists: &'a Warninglists,
    /// The file.
    pub file: &'a Listed,
    /// What harvests are for.
    pub purpose: Purpose,
    /// Takes a finished harvest.
    pub give: &'a (dyn Fn(Harvest<'a>) + Sync),
}

/// What harvests are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A set: order does not count, all cores work.
    Compile,
    /// A listing of what does not match: in the order of the file.
    Explain,
    /// Totals of each event: order does not count, all cores work.
    Count,
}

impl<'a> Gather<'a> {
    /// Reads the file with the format that knows it; says what was wrong with it.
    pub fn read(&self) -> Option<Damage> {
        let path = &self.file.path;
        let opened = Stream::open(path).map_err(Fault::from);
        let known = opened.and_then(|stream| Ok((stream.format()?, stream)));
        let (format, stream) = match known {
            Ok(known) => known,
            Err(fault) => return Some(Damage::unread(path, fault.spot, fault.what)),
        };
        let fault = (format.read)(stream, self).err()?;
        let what = match fault.spot {
            Spot::File => fault.what,
            _ => format!("{} (read as {})", fault.what, format.name),
        };
        Some(Damage::new(path, fault.spot, what))
    }

    /// Returns an empty harvest.
    pub fn begin(&self) -> Harvest<'a> {
        Harvest::new(self)
    }

    /// Hands a harvest over.
    pub fn end(&self, harvest: Harvest<'a>) {
        (self.give)(harvest);
    }

    /// Hands a full harvest over and begins another; only where no event is open.
    pub fn relieve(&self, harvest: &mut Harvest<'a>) {
        if harvest.ledger.seen >= FULL {
            self.end(std::mem::replace(harvest, self.begin()));
        }
    }

    /// Tells whether blocks may be read in any order.
    pub fn parallel(&self) -> bool {
        self.purpose != Purpose::Explain
    }
}

/// What a file, or part of one, gives.
pub struct Harvest<'a> {
    /// Totals.
    pub ledger: Ledger,
    /// Totals of each event, where these are wanted.
    pub by_event: HashMap<u32, Ledger>,
    /// Attributes that do not match, where a listing is wanted.
    pub rows: Vec<Row>,
    /// Values that match.
    pub entries: Vec<Entry>,
    /// Canonical values, each with the spelling behind it where that differs.
    pub text: String,
    /// Attributes that match.
    pub sources: Vec<SourceRecord>,
    /// Events.
    pub events: Vec<EventRecord>,
    /// Pairs of first and last time seen; the first pair is unknown.
    pub seen: Vec<(Timestamp, Timestamp)>,
    /// Tag lists.
    pub tags: ListTable,
    /// Texts of events and tags.
    pub strings: Strings,
    options: &'a IntelOptions,
    lists: &'a Warninglists,
    file: &'a Listed,
    purpose: Purpose,
    /// The warninglists that name the attribute that is being taken.
    named: Vec<u32>,
    /// Events that are told by and by, as long as something of them may leave attributes out.
    open: HashSet<u32>,
    /// Their attributes.
    held: HashMap<u32, Vec<Held>>,
    /// Events that are not published.
    unpublished: HashSet<u32>,
    /// Seconds since 1970, where ages are judged as of now.
    now_secs: u32,
    events_known: HashMap<EventRecord, u32, RandomState>,
    scratch: Vec<u32>,
}

/// A value that matches, in the order of type, then canonical value.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Type in the highest byte, the first seven bytes of the canonical value below it.
    pub key: u64,
    /// Where the canonical value is in the text.
    pub at: u32,
    /// Its source.
    pub source: u32,
    /// Bytes of the canonical value.
    pub canonical_bytes: u16,
    /// Bytes of the spelling behind it; 0 where it is the same.
    pub spelling_bytes: u16,
}

const _: () = assert!(size_of::<Entry>() == 24);

/// An attribute in a listing.
#[derive(Clone, Debug)]
pub struct Row {
    /// Why it does not match, or when it would.
    pub why: Remark,
    /// What of it, its event or the settings makes it so; empty where the reason says all.
    pub detail: String,
    /// MISP type as the file has it.
    pub kind: String,
    /// Value as the file has it, cut where long.
    pub value: String,
    /// Its event, in the harvest.
    pub event: u32,
    /// Its UUID.
    pub uuid: Uuid,
    /// Where in the file.
    pub spot: Spot,
    /// The warninglists that have it, and what they do.
    pub warninglists: Vec<(String, Action)>,
}

/// What a listing says of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Remark {
    /// It does not match.
    LeftOut(LeftOut),
    /// It is accepted but not looked for (yet).
    Idle(Usage),
    /// It matches, and this is to be said of it.
    Noted(Note),
    /// It matches, but warninglists have it.
    Warned(Action),
}

/// What becomes of an attribute that is kept, and what is to be said of it.
type Kept = (Usage, Option<Remark>);

/// What a format knows of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventParts<'a> {
    /// UUID.
    pub uuid: Uuid,
    /// Number on its server; 0 where unknown.
    pub id: u64,
    /// Title.
    pub info: &'a str,
    /// Organisation that made it.
    pub org: &'a str,
    /// Who gave it; where empty, the organisation, else the input's name.
    pub provider: &'a str,
    /// Tags, in the harvest's lists.
    pub tags: u32,
    /// Seconds since 1970 of its last change; 0 where unknown.
    pub timestamp_secs: u32,
    /// It is published; unknown where nothing says.
    pub published: Option<bool>,
}

impl<'a> Harvest<'a> {
    fn new(gather: &Gather<'a>) -> Self {
        Self {
            ledger: Ledger::default(),
            by_event: HashMap::new(),
            rows: Vec::new(),
            entries: Vec::new(),
            text: String::new(),
            sources: Vec::new(),
            events: Vec::new(),
            seen: vec![Default::default()],
            tags: ListTable::default(),
            strings: Strings::default(),
            options: gather.options,
            lists: gather.lists,
            file: gather.file,
            purpose: gather.purpose,
            named: Vec::new(),
            open: HashSet::new(),
            held: HashMap::new(),
            unpublished: HashSet::new(),
            now_secs: now_secs(&gather.options.filter),
            events_known: HashMap::default(),
            scratch: Vec::new(),
        }
    }

    /// Returns the file it is of.
    pub fn file(&self) -> &'a Listed {
        self.file
    }

    /// Returns the number of an event that is told at once.
    pub fn event(&mut self, parts: &EventParts<'_>) -> u32 {
        let record = self.record(parts);
        let next = narrow(self.events.len());
        let number = match self.events.last() {
            Some(last) if *last == record => next - 1,
            _ => *self.events_known.entry(record).or_insert(next),
        };
        if number == next {
            self.events.push(record);
        }
        self.note_published(number, parts.published);
        number
    }

    /// Returns the number of an event that is told by and by.
    pub fn open_event(&mut self) -> u32 {
        self.events.push(EventRecord::default());
        let number = narrow(self.events.len() - 1);
        if self.options.filter.asks_events() {
            self.open.insert(number);
        }
        number
    }

    /// Tells the rest of an opened event.
    pub fn close_event(&mut self, number: u32, parts: &EventParts<'_>) {
        let record = self.record(parts);
        if let Some(event) = self.events.get_mut(number as usize) {
            *event = record;
        }
        self.note_published(number, parts.published);
        self.open.remove(&number);
        for held in self.held.remove(&number).unwrap_or_default() {
            self.settle(&held.attribute(), number, held.meaning);
        }
    }

    fn note_published(&mut self, event: u32, published: Option<bool>) {
        if published == Some(false) {
            self.unpublished.insert(event);
        }
    }

    /// Returns the number of a list of tags; those that are ours to give are left out.
    pub fn tag_list<'t>(&mut self, tags: impl IntoIterator<Item = &'t str>) -> u32 {
        self.listed(tags.into_iter().filter(|tag| !is_reserved(tag)))
    }

    /// The same of a compiled set: what warninglists said when it was made holds.
    pub fn warned_tag_list<'t>(&mut self, tags: impl IntoIterator<Item = &'t str>) -> u32 {
        use Mark::Downgraded;
        use Mark::Informed;
        let is_kept = |tag: &&str| {
            !is_reserved(tag) || matches!(Mark::of(tag), Some(Downgraded(_) | Informed(_)))
        };
        self.listed(tags.into_iter().filter(is_kept))
    }

    fn listed<'t>(&mut self, tags: impl Iterator<Item = &'t str>) -> u32 {
        let mut list = std::mem::take(&mut self.scratch);
        list.clear();
        list.extend(tags.map(|tag| self.strings.intern(tag)).filter(|tag| *tag != 0));
        let number = self.sorted_tags(&mut list);
        self.scratch = list;
        number
    }

    fn sorted_tags(&mut self, list: &mut Vec<u32>) -> u32 {
        list.sort_unstable_by(|a, b| self.strings.texts.get(*a).cmp(self.strings.texts.get(*b)));
        list.dedup();
        self.tags.intern(list)
    }

    /// Takes one attribute of an event.
    pub fn take(&mut self, attribute: &Attribute<'_>, event: u32) {
        match meaning(attribute, self.options) {
            meaning if self.is_held(attribute, event, meaning) => {
                self.held.entry(event).or_default().push(Held::of(attribute, meaning));
            }
            meaning => self.settle(attribute, event, meaning),
        }
    }

    /// Tells whether what its event says may yet decide of an attribute.
    fn is_held(
        &self,
        attribute: &Attribute<'_>,
        event: u32,
        meaning: Result<Meaning, LeftOut>,
    ) -> bool {
        self.open.contains(&event) && (meaning.is_ok() || self.is_port(attribute))
    }

    /// Tells whether an attribute is a port that is perhaps looked for with addresses.
    fn is_port(&self, attribute: &Attribute<'_>) -> bool {
        let is_of_address = matches!(attribute.sibling, Sibling::OfAddress(_));
        let is_gone = attribute.deleted || attribute.left_out.is_some();
        is_of_address && !is_gone && !self.options.objects_in_parts
    }

    /// Leaves out an attribute for what the settings of its source say.
    pub fn leave_out(&mut self, attribute: &Attribute<'_>, event: u32, why: LeftOut) {
        self.named.clear();
        self.count(event, |ledger| ledger.leave_out(why, attribute.kind));
        self.list(attribute, event, Remark::LeftOut(why));
    }

    /// Keeps or leaves out an attribute whose event is told.
    fn settle(&mut self, attribute: &Attribute<'_>, event: u32, meaning: Result<Meaning, LeftOut>) {
        self.named.clear();
        let of_address = self.of_address(attribute, event);
        let kept = of_address.and(meaning).and_then(|meaning| {
            self.filter(attribute, event)?;
            let kept = match self.keep_composed(attribute, event) {
                Some(kept) => kept,
                None => self.keep(attribute, event, meaning)?,
            };
            Ok((meaning.first, kept))
        });
        match kept {
            Ok((ty, (usage, remark))) => {
                self.count(event, |ledger| ledger.accept(ty, usage));
                for remark in remark.into_iter().chain(unread(attribute).map(Remark::Noted)) {
                    if let Remark::Noted(note) = remark {
                        self.count(event, |ledger| ledger.note(note, ty));
                    }
                    self.list(attribute, event, remark);
                }
            }
            Err(why) => {
                self.count(event, |ledger| ledger.leave_out(why, attribute.kind));
                self.list(attribute, event, Remark::LeftOut(why));
            }
        }
    }

    fn count(&mut self, event: u32, count: impl Fn(&mut Ledger)) {
        count(&mut self.ledger);
        if self.purpose == Purpose::Count {
            count(self.by_event.entry(event).or_default());
        }
    }

    /// Keeps an attribute with what belongs to it in its object; `None`: it stands for itself.
    fn keep_composed(&mut self, attribute: &Attribute<'_>, event: u32) -> Option<Kept> {
        let (all, warned) = self.composed(attribute, event)?;
        self.note_named();
        let remark = warned.map(Remark::Warned);
        if self.purpose == Purpose::Compile {
            let source = self.source(attribute, event);
            all.iter().for_each(|one| self.enter(one.ty, &one.pattern, &one.spelling, source));
        }
        Some((Usage::Matched, remark))
    }

    /// Returns an attribute with those of its object that are not left out for themselves, and what
    /// warninglists say of it; `None`: it stands for itself.
    fn composed(
        &mut self,
        attribute: &Attribute<'_>,
        event: u32,
    ) -> Option<(Vec<Composed>, Option<Action>)> {
        let mates = attribute.sibling.mates().iter();
        let mates = mates.filter(|mate| self.takes(mate, event)).collect::<Vec<_>>();
        let all = composed(attribute, &mates, self.options);
        let Composed { ty, pattern, spelling } = all.first()?;
        let warned = self.warned(*ty, pattern, spelling);
        // one half may be named, and the other not
        (warned != Some(Action::Drop)).then_some((all, warned))
    }

    /// Leaves out a port that is looked for with an address of its object.
    fn of_address(&mut self, port: &Attribute<'_>, event: u32) -> Result<(), LeftOut> {
        if !self.is_port(port) {
            return Ok(());
        }
        let own = Mate { value: port.value.trim().into(), ..Mate::default() };
        let own = std::slice::from_ref(&own);
        let is_with = port.sibling.mates().iter().any(|address| {
            let (kind, sibling) = ("ip-dst", Sibling::Ports(own));
            let pair = Attribute { kind, value: &address.value, sibling, ..Attribute::default() };
            let is_wanted = !address.not_for_ids || self.options.include_non_ids;
            is_wanted && self.takes(address, event) && self.composed(&pair, event).is_some()
        });
        self.named.clear();
        if !is_with {
            return Ok(());
        }
        if port.decayed && self.options.filter.exclude_decayed {
            return Err(LeftOut::Decayed);
        }
        self.filter(port, event)?;
        Err(LeftOut::OfAddress)
    }

    fn keep(
        &mut self,
        attribute: &Attribute<'_>,
        event: u32,
        meaning: Meaning,
    ) -> Result<Kept, LeftOut> {
        let read = |ty| Pattern::from_text(ty, attribute.value, &self.options.policy);
        let pattern = read(meaning.first).map_err(LeftOut::Refused)?;
        let second = meaning.second.and_then(|ty| Some((ty, read(ty).ok()?)));
        let spelling = attribute.value.trim();
        if spelling.len() > usize::from(u16::MAX) {
            return Err(LeftOut::Refused(Refusal::TooLong));
        }
        let warned = self.warned(meaning.first, &pattern, spelling);
        self.note_named();
        if warned == Some(Action::Drop) {
            return Err(LeftOut::Warninglist);
        }
        let usage = pattern.usage(&self.options.policy);
        let is_name_alone = || pattern.is_name_alone(&self.options.policy);
        let remark = match (usage, warned) {
            (Usage::Matched, _) if is_name_alone() => Some(Remark::Noted(Note::NameAlone)),
            (Usage::Matched, warned) => warned.map(Remark::Warned),
            (usage, _) => Some(Remark::Idle(usage)),
        };
        if self.purpose == Purpose::Compile {
            let source = self.source(attribute, event);
            for (ty, pattern) in [(meaning.first, pattern)].into_iter().chain(second) {
                self.enter(ty, &pattern, spelling, source);
            }
        }
        Ok((usage, remark))
    }

    /// Asks the filter.
    fn filter(&self, attribute: &Attribute<'_>, event: u32) -> Result<(), LeftOut> {
        let end_secs = known(attribute.valid_until).secs();
        if end_secs == 0 && !attribute.valid_until.trim().is_empty() {
            return Err(LeftOut::BadEnd);
        }
        if self.is_ended(end_secs) {
            return Err(LeftOut::Ended);
        }
        match self.options.filter.asks_events() {
            true => self.around(attribute, event, |filter, around| filter.check(around)),
            false => Ok(()),
        }
    }

    /// Tells whether the filter takes what an attribute is meant with: else that takes no part.
    fn takes(&self, mate: &Mate<'_>, event: u32) -> bool {
        let Some(told) = &mate.told else { return true };
        let filter = &self.options.filter;
        if (told.decayed && filter.exclude_decayed) || self.is_ended(told.until_secs) {
            return false;
        }
        if !filter.asks_events() {
            return true;
        }
        let tags = told.tags.split_terminator(TAG_END).filter(|tag| !is_reserved(tag));
        let own = (tags.collect(), [told.last_secs, 0]);
        self.around_event(own, event, |around| filter.check(around).is_ok())
    }

    fn is_ended(&self, end_secs: u32) -> bool {
        self.now_secs != 0 && end_secs != 0 && end_secs < self.now_secs
    }

    /// Shows the filter what is said around an attribute.
    fn around<R>(
        &self,
        attribute: &Attribute<'_>,
        event: u32,
        ask: impl Fn(&Filter, &Around<'_>) -> R,
    ) -> R {
        let tags = self.tags.lists.get(attribute.tags).iter();
        let tags = tags.map(|tag| self.strings.texts.get(*tag)).collect();
        let last = [known(attribute.last_seen).secs(), attribute.timestamp_secs];
        self.around_event((tags, last), event, |around| ask(&self.options.filter, around))
    }

    /// Adds what its event says to an attribute's tags and the times when it was seen or changed.
    fn around_event<R>(
        &self,
        (mut tags, last): (Vec<&str>, [u32; 2]),
        event: u32,
        ask: impl Fn(&Around<'_>) -> R,
    ) -> R {
        let record = self.events.get(event as usize).copied().unwrap_or_default();
        let of_event = self.tags.lists.get(record.tags).iter();
        tags.extend(of_event.map(|tag| self.strings.texts.get(*tag)));
        let last = last.into_iter().chain([record.timestamp_secs]).find(|secs| *secs != 0);
        ask(&Around {
            tags: &tags,
            published: self.unpublished.contains(&event).then_some(false),
            last_secs: last.unwrap_or(0),
            now_secs: self.now_secs,
        })
    }

    /// Asks the warninglists which of them name a value, and returns the strongest action.
    fn warned(&mut self, ty: IndicatorType, pattern: &Pattern, value: &str) -> Option<Action> {
        self.lists.judge(ty, pattern, value, &mut self.named);
        let lists = self.named.iter().filter_map(|number| self.lists.list(*number));
        lists.map(|list| list.action).min()
    }

    /// Counts the warninglists that name the attribute.
    fn note_named(&mut self) {
        let lists = self.named.iter().filter_map(|number| self.lists.list(*number));
        lists.for_each(|list| self.ledger.name_by(list));
    }

    /// Returns an attribute's tags with what is said of it here.
    fn marked(&mut self, attribute: &Attribute<'_>) -> u32 {
        let [seen, false_positives] = attribute.sightings;
        let lists = self.named.iter().filter_map(|number| self.lists.list(*number)).map(|list| {
            let mark = if list.action == Action::Downgrade { DOWNGRADED } else { INFORMED };
            (mark, list.name.replace('"', "'"))
        });
        let counts = [(SIGHTINGS, seen), (FALSE_POSITIVES, false_positives)];
        let counts =
            counts.into_iter().filter(|(_, n)| *n > 0).map(|(mark, n)| (mark, n.to_string()));
        let sure = attribute.confidence.map(|sure| (CONFIDENCE, sure.to_string()));
        let until = written(known(attribute.valid_until)).map(|until| (VALID_UNTIL, until));
        let quoted = lists.chain(counts).chain(sure).chain(until);
        let quoted = quoted.map(|(mark, text)| format!("{mark}\"{text}\""));
        let decayed = attribute.decayed.then(|| DECAYED.to_owned());
        let marks = quoted.chain(decayed).collect::<Vec<_>>();
        if marks.is_empty() {
            return attribute.tags;
        }
        let mut list = marks.iter().map(|mark| self.strings.intern(mark)).collect::<Vec<_>>();
        list.extend_from_slice(self.tags.lists.get(attribute.tags));
        self.sorted_tags(&mut list)
    }

    fn enter(&mut self, ty: IndicatorType, pattern: &Pattern, spelling: &str, source: u32) {
        let at = self.text.len();
        let _infallible = write!(self.text, "{pattern}");
        let canonical = self.text.get(at..).unwrap_or_default();
        let canonical_bytes = u16::try_from(canonical.len()).unwrap_or(u16::MAX);
        let mut key = [0; 8];
        key[0] = ty as u8;
        key.iter_mut().skip(1).zip(canonical.bytes()).for_each(|(to, from)| *to = from);
        let spelling = if spelling == canonical { "" } else { spelling };
        self.text.push_str(spelling);
        self.entries.push(Entry {
            key: u64::from_be_bytes(key),
            at: narrow(at),
            source,
            canonical_bytes,
            spelling_bytes: u16::try_from(spelling.len()).unwrap_or(0),
        });
    }

    fn source(&mut self, attribute: &Attribute<'_>, event: u32) -> u32 {
        let source = SourceRecord {
            attribute: attribute.uuid,
            event,
            tags: self.marked(attribute),
            seen: self.seen(attribute),
            comment: self.strings.intern(cut(attribute.comment.trim(), COMMENT_BYTES_MAX)),
            timestamp_secs: attribute.timestamp_secs,
            to_ids: attribute.to_ids.into(),
        };
        if self.sources.last() != Some(&source) {
            self.sources.push(source);
        }
        narrow(self.sources.len() - 1)
    }

    fn seen(&mut self, attribute: &Attribute<'_>) -> u32 {
        if attribute.first_seen.is_empty() && attribute.last_seen.is_empty() {
            return 0;
        }
        let pair = (known(attribute.first_seen), known(attribute.last_seen));
        if self.seen.last() != Some(&pair) {
            self.seen.push(pair);
        }
        narrow(self.seen.len() - 1)
    }

    fn record(&mut self, parts: &EventParts<'_>) -> EventRecord {
        let told = [parts.provider, parts.org, &self.file.provider];
        let provider = told.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let timestamps = [parts.timestamp_secs, self.file.published_secs];
        EventRecord {
            uuid: parts.uuid,
            id: parts.id.into(),
            info: self.strings.intern(parts.info),
            org: self.strings.intern(parts.org),
            provider: self.strings.intern(provider),
            tags: parts.tags,
            timestamp_secs: timestamps.into_iter().find(|secs| *secs != 0).unwrap_or(0),
        }
    }

    fn list(&mut self, attribute: &Attribute<'_>, event: u32, why: Remark) {
        if self.purpose != Purpose::Explain {
            return;
        }
        let detail =
            self.around(attribute, event, |_, around| detail(why, attribute, around, self.options));
        self.rows.push(Row {
            why,
            detail,
            kind: attribute.kind.to_owned(),
            value: cut(attribute.value, ROW_VALUE_BYTES_MAX).to_owned(),
            event,
            uuid: attribute.uuid,
            spot: attribute.spot,
            warninglists: self.lists_named(),
        });
    }

    fn lists_named(&self) -> Vec<(String, Action)> {
        let lists = self.named.iter().filter_map(|number| self.lists.list(*number));
        lists.map(|list| (list.name.clone(), list.action)).collect()
    }
}

/// Returns the first bytes of a text, up to the end of a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

/// Returns the seconds since 1970 where ages are judged as of now; 0 where nothing asks.
fn now_secs(filter: &Filter) -> u32 {
    if filter.validity.as_of != AsOf::Now {
        return 0;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

/// Says what could not be read of an attribute.
fn unread(attribute: &Attribute<'_>) -> impl Iterator<Item = Note> + use<> {
    let seen = [attribute.first_seen, attribute.last_seen];
    let is_timeless = attribute.unread.time || seen.iter().any(|text| time(text).is_none());
    let told = [(is_timeless, Note::BadTime), (attribute.unread.flag, Note::BadFlag)];
    told.into_iter().filter_map(|(is_so, note)| is_so.then_some(note))
}
