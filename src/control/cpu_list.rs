//! Lists of CPUs as the kernel writes them, "0-3,8".

/// More CPUs than any machine has; a list that says more is cut.
const CPUS_MAX: usize = 8_192;

/// Reads one; what is none is left out.
pub(super) fn parse(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            cpus.extend((first..=last).take(CPUS_MAX.saturating_sub(cpus.len())));
        }
    }
    cpus
}

/// Writes one.
pub(super) fn text(cpus: &[u32]) -> String {
    let mut parts = Vec::new();
    for run in cpus.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
        match run {
            [] => {}
            [one] => parts.push(one.to_string()),
            [first, .., last] => parts.push(format!("{first}-{last}")),
        }
    }
    parts.join(",")
}

/// Writes one as the mask that `rps_cpus` takes: words of 32 bits, the highest first.
pub(super) fn mask(cpus: &[u32]) -> String {
    let highest = cpus.iter().max().copied().unwrap_or_default() / 32;
    let word = |n: u32| {
        let bits = cpus.iter().filter(|cpu| **cpu / 32 == n).map(|cpu| 1_u32 << (cpu % 32));
        bits.fold(0, |mask, bit| mask | bit)
    };
    let words = (0..=highest).rev().enumerate();
    let text = words.map(|(n, at)| match n {
        0 => format!("{:x}", word(at)),
        _ => format!("{:08x}", word(at)),
    });
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list, its CPUs, how it is written, its mask.
    fn check(given: &str, cpus: &[u32], written: &str, mask_of: &str) {
        assert_eq!(parse(given), cpus, "{given}");
        assert_eq!((text(cpus).as_str(), mask(cpus).as_str()), (written, mask_of), "{given}");
    }

    #[test]
    fn lists_are_read_and_written() {
        check("0-3,8", &[0, 1, 2, 3, 8], "0-3,8", "10f");
        check("1\n", &[1], "1", "2");
        check("", &[], "", "0");
        check("nonsense,2", &[2], "2", "4");
        check("0,33", &[0, 33], "0,33", "2,00000001");
        assert_eq!(parse("0-4294967295").len(), CPUS_MAX);
    }
}
