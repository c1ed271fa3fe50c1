//! What histograms tell.

/// The middle of a class of a histogram in nanoseconds: class `n` reaches from 2ⁿ⁻¹ to 2ⁿ.
fn middle(class: usize) -> f64 {
    (class as f64 - 0.5).exp2()
}

/// A percentile of a histogram, in nanoseconds: within the class, as if it were evenly filled by powers of two. Nothing
/// where nothing was counted.
pub fn percentile(histogram: &[u64], share: f64) -> Option<u64> {
    let total: u64 = histogram.iter().sum();
    let wanted = share * total as f64;
    let mut before = 0.0;
    for (class, count) in histogram
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        let count = *count as f64;
        if before + count >= wanted {
            let within = (wanted - before) / count;
            return Some((class as f64 - 1.0 + within).exp2() as u64);
        }
        before += count;
    }
    None
}

/// A bound that nothing of a histogram exceeds, in nanoseconds.
pub fn most(histogram: &[u64]) -> u64 {
    let last = histogram.iter().rposition(|count| *count > 0);
    last.map_or(0, |class| 1 << class)
}

/// How long those waited who came while a loop was blocked: each at any moment of the time that is told by its class.
/// Returns the time that this share of them waited at most, in nanoseconds.
pub fn wait(blocked: &[u64], share: f64) -> Option<u64> {
    let total: u64 = blocked.iter().sum();
    if total == 0 {
        return None;
    }
    let below = |time: f64| {
        let parts = blocked.iter().enumerate();
        let parts = parts.map(|(class, count)| *count as f64 * (time / middle(class)).min(1.0));
        parts.sum::<f64>() / total as f64
    };
    let (mut low, mut high) = (0.0, most(blocked) as f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        match below(middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    Some(high as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_their_class() {
        let mut histogram = vec![0; 40];
        assert_eq!(
            (percentile(&histogram, 0.5), wait(&histogram, 0.5)),
            (None, None)
        );
        histogram[10] = 99;
        histogram[25] = 1;
        let p50 = percentile(&histogram, 0.5).unwrap();
        assert!((512..1024).contains(&p50), "{p50}");
        let p100 = percentile(&histogram, 1.0).unwrap();
        assert!((1 << 24..=1 << 25).contains(&p100), "{p100}");
        assert_eq!(most(&histogram), 1 << 25);
    }

    #[test]
    fn those_who_come_while_it_is_blocked_wait_for_a_part_of_it() {
        let mut blocked = vec![0; 40];
        blocked[20] = 1000;
        let whole = middle(20) as u64;
        let [p50, p99] = [0.5, 0.99].map(|share| wait(&blocked, share).unwrap());
        assert!(
            p50.abs_diff(whole / 2) < 10 && p99.abs_diff(whole * 99 / 100) < 10,
            "{p50} {p99}"
        );
    }
}
