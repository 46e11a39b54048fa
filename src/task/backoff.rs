//! `Backoff`: how long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that grow: for whoever tries again and does not want to be a nuisance.
///
/// The first is [`initial`](Backoff::initial), each next one [`factor`](Backoff::factor) times as long, up to
/// [`max_delay`](Backoff::max_delay). To each is added a random part of it, up or down by [`jitter`](Backoff::jitter), so
/// that a thousand clients which were cut off together do not come back together.
///
/// Where nothing else is said: 1 s, e times as long each, at most an hour, 12 % up or down. These are the figures of
/// Twisted's `ReconnectingClientFactory`.
///
/// ```
/// use ropewalk::task::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new().factor(2.0).max_delay(Duration::from_secs(5)).jitter(0.0);
/// let seconds: Vec<u64> = backoff.delays().map(|delay| delay.as_secs()).take(5).collect();
/// assert_eq!(seconds, [1, 2, 4, 5, 5]);
///
/// let shaken = Backoff::new().seed(7); // the same every time
/// assert!(shaken.delays().take(9).eq(shaken.delays().take(9)));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    factor: f64,
    max_delay: Duration,
    jitter: f64,
    seed: Option<u64>,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new()
    }
}

impl Backoff {
    /// The usual waits.
    pub fn new() -> Backoff {
        Backoff {
            initial: Duration::from_secs(1),
            factor: std::f64::consts::E,
            max_delay: Duration::from_secs(3600),
            jitter: 0.12,
            seed: None,
        }
    }

    /// The first wait.
    pub fn initial(self, delay: Duration) -> Backoff {
        Backoff { initial: delay, ..self }
    }

    /// How many times as long as the one before each wait is. What is no number above zero is taken for 1.
    pub fn factor(self, factor: f64) -> Backoff {
        Backoff { factor: if factor > 0.0 { factor } else { 1.0 }, ..self }
    }

    /// The longest wait, before its random part.
    pub fn max_delay(self, delay: Duration) -> Backoff {
        Backoff { max_delay: delay, ..self }
    }

    /// The greatest random part of a wait, up or down: 0 for none, at most 1.
    pub fn jitter(self, part: f64) -> Backoff {
        Backoff { jitter: if part > 0.0 { part.min(1.0) } else { 0.0 }, ..self }
    }

    /// Where the random numbers come from. With a seed the waits are the same every time, for tests; without one they
    /// differ from program to program, and that is what they are for.
    pub fn seed(self, seed: u64) -> Backoff {
        Backoff { seed: Some(seed), ..self }
    }

    /// The waits from the first on, without an end.
    pub fn delays(&self) -> Delays {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Delays { next: self.initial.min(self.max_delay), backoff: self.clone(), random: SplitMix64(seed) }
    }
}

/// The waits of a [`Backoff`], one after the other. It never ends.
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    next: Duration,
    random: SplitMix64,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let Backoff { factor, max_delay, jitter, .. } = self.backoff;
        let delay = self.next;
        let longer = Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(max_delay);
        self.next = longer.min(max_delay);
        if jitter == 0.0 {
            return Some(delay);
        }
        let part = 1.0 + jitter * (2.0 * self.random.fraction() - 1.0);
        Some(Duration::try_from_secs_f64(delay.as_secs_f64() * part).unwrap_or(delay))
    }
}

/// Small and good enough for waits: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1, with the 53 bits that an `f64` has.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    /// The numbers of the authors' own program for the seed 1234567.
    #[test]
    fn gives_the_published_numbers() {
        let mut random = SplitMix64(1234567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423];
        assert_eq!(expected.map(|_| random.next()), expected);
    }
}
