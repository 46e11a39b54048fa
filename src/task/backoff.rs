//! `Backoff`: how long to wait before the next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::ground::random::Random;

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
    jitter: Jitter,
    seed: Option<u64>,
}

/// The random part of a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Jitter {
    /// Anything up to this part is as likely.
    Even(f64),
    /// Of a normal distribution with this deviation.
    Normal(f64),
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
            jitter: Jitter::Even(0.12),
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
        Backoff { jitter: Jitter::Even(share(part)), ..self }
    }

    /// Makes the random part one of a normal distribution, with a deviation of this part of the wait: 0 for none, at most
    /// 1. Twisted's `ReconnectingClientFactory` does it so. No wait is less than none.
    pub fn normal_jitter(self, deviation: f64) -> Backoff {
        Backoff { jitter: Jitter::Normal(share(deviation)), ..self }
    }

    /// Where the random numbers come from. With a seed the waits are the same every time, for tests; without one they
    /// differ from program to program, and that is what they are for.
    pub fn seed(self, seed: u64) -> Backoff {
        Backoff { seed: Some(seed), ..self }
    }

    /// The waits from the first on, without an end.
    pub fn delays(&self) -> Delays {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Delays { next: self.initial.min(self.max_delay), backoff: self.clone(), random: Random::new(seed) }
    }
}

/// The waits of a [`Backoff`], one after the other. It never ends.
///
/// ```
/// use ropewalk::task::Backoff;
/// use std::time::Duration;
///
/// // Waits for a loop of one's own: each is asked for after an attempt has failed.
/// let mut delays = Backoff::new().initial(Duration::from_millis(100)).factor(3.0).jitter(0.0).delays();
/// assert_eq!(delays.next(), Some(Duration::from_millis(100)));
/// assert_eq!(delays.next(), Some(Duration::from_millis(300)));
/// let all_in_all: Duration = delays.take(2).sum();
/// assert_eq!(all_in_all, Duration::from_millis(900 + 2700));
/// ```
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    next: Duration,
    random: Random,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let Backoff { factor, max_delay, jitter, .. } = self.backoff;
        let delay = self.next;
        let longer = Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(max_delay);
        self.next = longer.min(max_delay);
        let part = match jitter {
            Jitter::Even(0.0) | Jitter::Normal(0.0) => return Some(delay),
            Jitter::Even(part) => 1.0 + part * (2.0 * self.random.unit() - 1.0),
            Jitter::Normal(deviation) => (1.0 + deviation * self.random.normal()).max(0.0),
        };
        Some(Duration::try_from_secs_f64(delay.as_secs_f64() * part).unwrap_or(delay))
    }
}

/// A part of a wait: what is less than none, or no number, is none.
fn share(part: f64) -> f64 {
    if part > 0.0 { part.min(1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_jitter_has_the_deviation_that_was_asked_for() {
        let backoff = Backoff::new().normal_jitter(0.12);
        let first: Vec<f64> =
            (0..10_000).map(|seed| backoff.clone().seed(seed).delays().next().unwrap().as_secs_f64()).collect();
        let mean = first.iter().sum::<f64>() / 10_000.0;
        let deviation = (first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10_000.0).sqrt();
        assert!((mean - 1.0).abs() < 0.01 && (deviation - 0.12).abs() < 0.005, "{mean} {deviation}");
    }
}
