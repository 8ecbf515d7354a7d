//! STIX patterns, taken apart into the ways in which an observation fits them.
//!
//! Spec:   STIX 2.1 §9 (STIX 2.0 part 5): observation and comparison expressions, object paths,
//!         constants
//! Reads:  one pattern, whole
//! Yields: alternatives, each some comparisons that one observation must fit, or why it is none
//! Bounds: `PATTERN_BYTES_MAX`, `ALTERNATIVES_MAX`, `COMPARISONS_MAX`, `COMPARISONS_ALONE_MAX`,
//!         `DEPTH_MAX`
//! Leaves: the values of what is no `=`, `IN` or `ISSUBSET`
//!
//! What follows `OR` stands for itself: where one alternative is inexact, the others count.

use std::borrow::Cow;

use crate::control::intel::stix::inexact::Inexact;

/// Bytes of one pattern: 20,000 values of 50 bytes; people write patterns of a few hundred.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Ways to fit one pattern; conjunctions of lists multiply.
const ALTERNATIVES_MAX: usize = 65_536;

/// Comparisons of one alternative among several: the widest that any type expresses has three.
const COMPARISONS_MAX: usize = 16;

/// Comparisons of the only alternative: an object of MISP has one or two for each attribute.
const COMPARISONS_ALONE_MAX: usize = 1_024;

/// Brackets within brackets.
const DEPTH_MAX: u32 = 32;

/// One way to fit a pattern.
pub(super) type Alternative<'p> = Result<Vec<Comparison<'p>>, Inexact>;

/// A constant as text, or why it is none.
type Constant<'p> = Result<Cow<'p, str>, Inexact>;

/// A property and the value that it must have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Comparison<'p> {
    /// Object type and property, as `network-traffic:dst_ref.value`, quotes taken off.
    pub(super) path: Cow<'p, str>,
    /// How it is compared.
    pub(super) operator: Operator,
    /// The constant, as text.
    pub(super) value: Cow<'p, str>,
}

/// How a property is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operator {
    /// `=` and `IN`.
    Equal,
    /// `ISSUBSET`: inside a network.
    Subset,
}

/// Returns the ways to fit a pattern; one that is inexact where it cannot be read.
pub(super) fn alternatives(pattern: &str) -> Vec<Alternative<'_>> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return vec![Err(Inexact::Size)];
    }
    let mut reader = Reader { rest: pattern, depth: 0 };
    reader.space();
    let read = reader.observations().and_then(|all| match reader.rest {
        "" => Ok(all),
        _ => Err(Inexact::Syntax),
    });
    read.unwrap_or_else(|why| vec![Err(why)])
}

/// Reads from the left.
struct Reader<'p> {
    rest: &'p str,
    depth: u32,
}

impl<'p> Reader<'p> {
    /// Reads `a OR b`, `a AND b`, `a FOLLOWEDBY b`, of which the last bind less.
    fn observations(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = self.observation_choice()?;
        while self.word("FOLLOWEDBY") {
            self.observation_choice()?;
            all = vec![Err(Inexact::Sequence)];
        }
        Ok(all)
    }

    fn observation_choice(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = self.observation_pair()?;
        while self.word("OR") {
            all.extend(self.observation_pair()?);
            within_bound(&all)?;
        }
        Ok(all)
    }

    fn observation_pair(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = self.observation()?;
        while self.word("AND") {
            self.observation()?;
            all = vec![Err(Inexact::Sequence)];
        }
        Ok(all)
    }

    fn observation(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = if self.sign("[") {
            let all = self.comparisons()?;
            self.sign("]").then_some(all).ok_or(Inexact::Syntax)?
        } else {
            self.bracketed(Self::observations)?
        };
        while self.qualifier()? {
            all = vec![Err(Inexact::Qualifier)];
        }
        Ok(all)
    }

    fn qualifier(&mut self) -> Result<bool, Inexact> {
        if self.word("START") {
            let _start = self.constant()?;
            let stop = self.word("STOP").then_some(()).ok_or(Inexact::Syntax);
            return stop.and_then(|()| self.constant()).map(|_| true);
        }
        let unit = match (self.word("WITHIN"), self.word("REPEATS")) {
            (true, _) => "SECONDS",
            (_, true) => "TIMES",
            _ => return Ok(false),
        };
        let _number = self.constant()?;
        if self.word(unit) { Ok(true) } else { Err(Inexact::Syntax) }
    }

    /// Reads `a OR b`, `a AND b` inside an observation.
    fn comparisons(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = self.comparison_pair()?;
        while self.word("OR") {
            all.extend(self.comparison_pair()?);
            within_bound(&all)?;
        }
        Ok(all)
    }

    fn comparison_pair(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        let mut all = self.comparison()?;
        while self.word("AND") {
            all = both(&all, &self.comparison()?)?;
        }
        Ok(all)
    }

    fn comparison(&mut self) -> Result<Vec<Alternative<'p>>, Inexact> {
        if self.rest.starts_with('(') {
            return self.bracketed(Self::comparisons);
        }
        if self.word("EXISTS") {
            self.path()?;
            return Ok(vec![Err(Inexact::Operator)]);
        }
        let path = self.path()?;
        let is_not = self.word("NOT");
        let (operator, values) = self.operator()?;
        Ok(match operator {
            _ if is_not => vec![Err(Inexact::Not)],
            Err(why) => vec![Err(why)],
            Ok(operator) => {
                let one = |value| Comparison { path: path.clone(), operator, value };
                let one = |value: Constant<'p>| value.map(|value| vec![one(value)]);
                values.into_iter().map(one).collect()
            }
        })
    }

    /// Reads an operator and its constants.
    #[allow(clippy::type_complexity, reason = "read in one place, used in one")]
    fn operator(&mut self) -> Result<(Result<Operator, Inexact>, Vec<Constant<'p>>), Inexact> {
        if self.word("IN") {
            return Ok((Ok(Operator::Equal), self.set()?));
        }
        let operator = if self.word("ISSUBSET") {
            Ok(Operator::Subset)
        } else if ["LIKE", "MATCHES", "ISSUPERSET"].iter().any(|word| self.word(word)) {
            Err(Inexact::Operator)
        } else if ["!=", "<>"].iter().any(|sign| self.sign(sign)) {
            Err(Inexact::Not)
        } else if self.sign("==") || self.sign("=") {
            Ok(Operator::Equal)
        } else if ["<=", ">=", "<", ">"].iter().any(|sign| self.sign(sign)) {
            Err(Inexact::Operator)
        } else {
            return Err(Inexact::Syntax);
        };
        Ok((operator, vec![self.constant()?]))
    }

    fn set(&mut self) -> Result<Vec<Constant<'p>>, Inexact> {
        let open = self.sign("(");
        let mut all = vec![open.then(|| self.constant()).ok_or(Inexact::Syntax)??];
        while self.sign(",") {
            all.push(self.constant()?);
        }
        if self.sign(")") { Ok(all) } else { Err(Inexact::Syntax) }
    }

    fn bracketed(
        &mut self,
        read: fn(&mut Self) -> Result<Vec<Alternative<'p>>, Inexact>,
    ) -> Result<Vec<Alternative<'p>>, Inexact> {
        if !self.sign("(") {
            return Err(Inexact::Syntax);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Inexact::Size);
        }
        let all = read(self)?;
        self.depth -= 1;
        if self.sign(")") { Ok(all) } else { Err(Inexact::Syntax) }
    }

    /// Reads an object path: type, colon, and properties with dots and list steps. White space may
    /// stand between them all.
    fn path(&mut self) -> Result<Cow<'p, str>, Inexact> {
        let mut path = self.plain()?.to_owned();
        self.space();
        if !self.sign(":") {
            return Err(Inexact::Syntax);
        }
        path.push(':');
        path.push_str(&self.property()?);
        loop {
            self.space();
            if self.sign(".") {
                path.push('.');
                path.push_str(&self.property()?);
            } else if self.sign("[") {
                let step = if self.sign("*") { "*" } else { self.plain()? };
                self.space();
                if !self.sign("]") {
                    return Err(Inexact::Syntax);
                }
                path.extend(["[", step, "]"]);
            } else {
                return Ok(Cow::Owned(path));
            }
        }
    }

    /// Reads one part of a path: a word, or anything in quotes.
    fn property(&mut self) -> Result<Cow<'p, str>, Inexact> {
        if self.rest.starts_with('\'') {
            return self.quoted();
        }
        self.plain().map(Cow::Borrowed)
    }

    fn plain(&mut self) -> Result<&'p str, Inexact> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let after = self.rest.trim_start_matches(plain);
        let word = self.rest.get(..self.rest.len() - after.len()).unwrap_or_default();
        self.rest = after;
        if word.is_empty() { Err(Inexact::Syntax) } else { Ok(word) }
    }

    /// Reads a constant: a string, a time, a number or a flag; bytes say why they are no text.
    fn constant(&mut self) -> Result<Constant<'p>, Inexact> {
        let coded = |sign: char| self.rest.strip_prefix(sign).filter(|rest| rest.starts_with('\''));
        let (time, bytes) = (coded('t'), coded('b').or_else(|| coded('h')));
        self.rest = time.or(bytes).unwrap_or(self.rest);
        let value = if self.rest.starts_with('\'') {
            self.quoted()?
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
            let after = self.rest.trim_start_matches(plain);
            let word = self.rest.get(..self.rest.len() - after.len()).unwrap_or_default();
            self.rest = after;
            let is_number = word.parse::<f64>().is_ok();
            let is_constant = is_number || matches!(word, "true" | "false");
            is_constant.then_some(Cow::Borrowed(word)).ok_or(Inexact::Syntax)?
        };
        self.space();
        Ok(if bytes.is_some() { Err(Inexact::Binary) } else { Ok(value) })
    }

    /// Reads a string in quotes, in which a backslash stands before quotes and backslashes.
    fn quoted(&mut self) -> Result<Cow<'p, str>, Inexact> {
        let from = self.rest.strip_prefix('\'').ok_or(Inexact::Syntax)?;
        let mut at = 0;
        let end = loop {
            let left = from.as_bytes().get(at..).unwrap_or_default();
            at += memchr::memchr2(b'\'', b'\\', left).ok_or(Inexact::Syntax)?;
            match from.as_bytes().get(at) {
                Some(b'\\') => at += 2,
                _ => break at,
            }
        };
        let text = from.get(..end).ok_or(Inexact::Syntax)?;
        self.rest = from.get(end + 1..).ok_or(Inexact::Syntax)?;
        Ok(unescaped(text))
    }

    fn word(&mut self, word: &str) -> bool {
        let plain = |c: char| c.is_alphanumeric() || c == '_';
        let after = self.rest.strip_prefix(word).filter(|rest| !rest.starts_with(plain));
        self.go_on(after)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let after = self.rest.strip_prefix(sign);
        self.go_on(after)
    }

    fn go_on(&mut self, after: Option<&'p str>) -> bool {
        let Some(after) = after else { return false };
        self.rest = after;
        self.space();
        true
    }

    /// Goes on to what is neither white space nor a comment.
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = if let Some(comment) = self.rest.strip_prefix("//") {
                Some(
                    comment
                        .find(['\r', '\n'])
                        .and_then(|end| comment.get(end..))
                        .unwrap_or_default(),
                )
            } else {
                let comment = self.rest.strip_prefix("/*");
                comment.and_then(|comment| Some(comment.split_once("*/")?.1))
            };
            let Some(after) = after else { break };
            self.rest = after;
        }
    }
}

fn within_bound(all: &[Alternative<'_>]) -> Result<(), Inexact> {
    if all.len() <= ALTERNATIVES_MAX { Ok(()) } else { Err(Inexact::Size) }
}

/// Returns each alternative of one with each of another.
fn both<'p>(
    one: &[Alternative<'p>],
    other: &[Alternative<'p>],
) -> Result<Vec<Alternative<'p>>, Inexact> {
    if one.len().saturating_mul(other.len()) > ALTERNATIVES_MAX {
        return Err(Inexact::Size);
    }
    let is_alone = one.len() == 1 && other.len() == 1;
    let comparisons_max = if is_alone { COMPARISONS_ALONE_MAX } else { COMPARISONS_MAX };
    let pair = |a: &Alternative<'p>, b: &Alternative<'p>| match (a, b) {
        (Err(why), _) | (_, Err(why)) => Err(*why),
        (Ok(a), Ok(b)) if a.len() + b.len() > comparisons_max => Err(Inexact::And),
        (Ok(a), Ok(b)) => {
            let mut both = a.clone();
            both.extend(b.iter().filter(|new| !a.contains(new)).cloned());
            Ok(both)
        }
    };
    Ok(one.iter().flat_map(|a| other.iter().map(move |b| pair(a, b))).collect())
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says each alternative as `path=value & path=value`, or its reason.
    fn told(pattern: &str) -> Vec<String> {
        let one = |comparison: &Comparison<'_>| {
            let sign = if comparison.operator == Operator::Equal { "=" } else { "<" };
            format!("{}{sign}{}", comparison.path, comparison.value)
        };
        let alternative = |all: &Alternative<'_>| match all {
            Ok(all) => all.iter().map(one).collect::<Vec<_>>().join(" & "),
            Err(why) => why.reason().to_owned(),
        };
        alternatives(pattern).iter().map(alternative).collect()
    }

    #[test]
    fn what_is_one_of_several_stands_for_itself() {
        for (pattern, want) in [
            ("[ipv4-addr:value = '1.2.3.4']", &["ipv4-addr:value=1.2.3.4"][..]),
            (" [ a:b=='x' ] ", &["a:b=x"]),
            ("[a:b = 'x' OR a:b = 'y' OR c:d = 7]", &["a:b=x", "a:b=y", "c:d=7"]),
            ("[a:b = 'x'] OR [a:b = 'y']", &["a:b=x", "a:b=y"]),
            ("([a:b = 'x'] OR ([a:b = 'y']))", &["a:b=x", "a:b=y"]),
            ("[a:b IN ('x', 'y',7)]", &["a:b=x", "a:b=y", "a:b=7"]),
            ("[a:b ISSUBSET '10.0.0.0/8']", &["a:b<10.0.0.0/8"]),
            ("[a:b = 'x' AND c:d = 7]", &["a:b=x & c:d=7"]),
            ("[(a:b = 'x' OR a:b = 'y') AND c:d = 7]", &["a:b=x & c:d=7", "a:b=y & c:d=7"]),
            ("[a:b = 'x' AND a:b = 'x']", &["a:b=x"]),
            ("[a:b = 'x' OR c:d = 'y' AND e:f = 'z']", &["a:b=x", "c:d=y & e:f=z"]),
            ("[x509-certificate:hashes.'SHA-256' = 'ab']", &["x509-certificate:hashes.SHA-256=ab"]),
            ("[a:b[*].c.'d e' = 'x']", &["a:b[*].c.d e=x"]),
            ("[a:b = 'it\\'s \\\\ [x] OR']", &["a:b=it's \\ [x] OR"]),
            ("[a:b = t'2020-01-01T00:00:00Z']", &["a:b=2020-01-01T00:00:00Z"]),
            ("[a:b = true]", &["a:b=true"]),
            ("[a:b='x']OR[a:b='y']", &["a:b=x", "a:b=y"]),
            ("[a : b . 'c' [ * ] . d = 'x']", &["a:b.c[*].d=x"]),
            ("[a:b[0].c = 'x']", &["a:b[0].c=x"]),
            ("/* a\n[ */ [a:b /**/ = 'x // y'] // c", &["a:b=x // y"]),
            ("[a:b = 'x' // one\n OR a:b = 'y']", &["a:b=x", "a:b=y"]),
        ] {
            assert_eq!(told(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn what_is_inexact_says_why_and_costs_nothing_else() {
        for (pattern, want) in [
            ("[a:b != 'x']", &["pattern_not"][..]),
            ("[a:b NOT = 'x' OR a:b = 'y']", &["pattern_not", "a:b=y"]),
            ("[a:b NOT IN ('x','y')]", &["pattern_not"]),
            ("[a:b LIKE 'x%' OR a:b MATCHES 'y']", &["pattern_operator", "pattern_operator"]),
            ("[a:b > 7 OR EXISTS a:b OR a:b ISSUPERSET 'x']", &["pattern_operator"; 3]),
            ("[a:b = 'x' AND a:b LIKE 'x']", &["pattern_operator"]),
            ("[EXISTS a:b]", &["pattern_operator"]),
            ("[a:b = b'ZXZpbC5jb20=' OR a:b = 'x']", &["pattern_binary", "a:b=x"]),
            ("[a:b IN (h'6576', 'x')]", &["pattern_binary", "a:b=x"]),
            ("[a:b = 'x' AND a:b = h'6576']", &["pattern_binary"]),
            ("[a:b = 'x'] AND [a:b = 'y']", &["pattern_sequence"]),
            ("[a:b = 'x'] FOLLOWEDBY [a:b = 'y']", &["pattern_sequence"]),
            ("[a:b = 'x'] AND [a:b = 'y'] OR [c:d = 'z']", &["pattern_sequence", "c:d=z"]),
            ("[a:b = 'x'] REPEATS 5 TIMES WITHIN 30 SECONDS", &["pattern_qualifier"]),
            (
                "[a:b = 'x'] START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'",
                &["pattern_qualifier"],
            ),
            ("([a:b = 'x'] OR [a:b = 'y']) WITHIN 5 SECONDS", &["pattern_qualifier"]),
        ] {
            assert_eq!(told(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_so() {
        for wrong in [
            "",
            "[",
            "[]",
            "a:b = 'x'",
            "[a:b = 'x'",
            "[a:b = 'x']]",
            "[a:b = 'x'] x",
            "[a = 'x']",
            "[a:b 'x']",
            "[a:b = x]",
            "[a:b = 'x' AND]",
            "[a:b IN 'x']",
            "[a:b IN ()]",
            "[a:b = 'x\\",
            "[a:b = 'é\\'",
            "[a:b = 'x'] WITHIN 5 TIMES",
            "[a:b = 'x'] or [a:b = 'y']",
            "[a:b = '\\é",
            "[:::= 'x']",
            "[a:b[ = 'x']",
            "[a:b[*] = 'x'] /* open",
            "[a:b] = 'x']",
            "alert tcp any any -> any any (msg:\"x\";)",
            "[a:'b = 'x']",
            "[a:b = 'x'] START 1",
        ] {
            assert_eq!(told(wrong), ["pattern_syntax"], "{wrong}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let open = "(".repeat(100_000);
        assert_eq!(told(&open), ["pattern_size"]);
        assert_eq!(told(&format!("[{open}a:b = 1")), ["pattern_size"]);
        let list = vec!["7"; 300].join(",");
        let product = format!("[a:b IN ({list}) AND c:d IN ({list})]");
        assert_eq!(told(&product), ["pattern_size"]);
        assert_eq!(told(&"[".repeat(PATTERN_BYTES_MAX + 1)), ["pattern_size"]);
        let many = vec!["[a:b = 1]"; ALTERNATIVES_MAX + 1].join(" OR ");
        assert_eq!(told(&many), ["pattern_size"]);
        let wide = ["a:b = 1"; 10].join(" AND ") + " AND c:d = 1";
        assert_eq!(told(&format!("[{wide}]")), ["a:b=1 & c:d=1"]);
        let fields = |n| (0..n).map(|n| format!("a:b{n} = 1")).collect::<Vec<_>>().join(" AND ");
        assert_eq!(told(&format!("[{}]", fields(1_025))), ["pattern_and"]);
        let [all] = &told(&format!("[{}]", fields(1_024)))[..] else { panic!("one") };
        assert_eq!(all.matches('&').count(), 1_023);
        let choice = format!("[{} AND (c:d = 1 OR c:d = 2)]", fields(16));
        assert_eq!(told(&choice), ["pattern_and"; 2]);
    }
}
