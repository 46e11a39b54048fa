//! What lists and races can be made of: vectors and arrays of Deferreds of one type, tuples of different ones.

use super::group::{Entry, Goal, Slots};
use crate::ground::step::Outcome;
use crate::ground::{Deferred, Failure};

/// Deferreds that a [`DeferredList`](crate::DeferredList), [`gather_results`](crate::gather_results) or
/// [`race`](crate::race) can be made of.
///
/// These are `Vec<Deferred<T>>` and `[Deferred<T>; N]` for members of one type, and tuples of 2 to 8 Deferreds for
/// members of different types. Other iterators are collected first: `.collect::<Vec<_>>()`.
///
/// | members | results | values | one value |
/// |---|---|---|---|
/// | `Vec<Deferred<T>>`, `[Deferred<T>; N]` | `Vec<Result<T, Failure>>` | `Vec<T>` | `(usize, T)` |
/// | `(Deferred<A>, Deferred<B>)` | `(Result<A, Failure>, Result<B, Failure>)` | `(A, B)` | [`OneOf2<A, B>`] |
pub trait Members {
    /// The result of each member.
    type Results: 'static;
    /// The value of each member.
    type Values: 'static;
    /// One value, and which member's it is.
    type One: 'static;
    #[doc(hidden)]
    type Slots: Slots<Results = Self::Results, Values = Self::Values, One = Self::One>;
    #[doc(hidden)]
    fn slots(&self) -> Self::Slots;
    // Takes and names what only this crate has: nobody else can implement it.
    #[doc(hidden)]
    fn enlist<G: Goal<Self::Slots>>(self, entry: &mut Entry<'_, Self::Slots, G>);
}

type Slot<T> = Option<Outcome<T>>;

fn take_err<T>(slot: &mut Slot<T>) -> Option<Failure> {
    slot.take_if(|result| result.is_err())?.err()
}

fn take_ok<T>(slot: &mut Slot<T>) -> Option<T> {
    slot.take_if(|result| result.is_ok())?.ok()
}

fn share_err<T>(slot: &mut Slot<T>) -> Option<Failure> {
    slot.as_mut()?.as_mut().err().map(Failure::share)
}

impl<T: 'static> Slots for Vec<Slot<T>> {
    type Results = Vec<Result<T, Failure>>;
    type Values = Vec<T>;
    type One = (usize, T);

    fn take_failure(&mut self, index: usize) -> Option<Failure> {
        take_err(self.get_mut(index)?)
    }
    fn take_value(&mut self, index: usize) -> Option<(usize, T)> {
        Some((index, take_ok(self.get_mut(index)?)?))
    }
    fn failures(&mut self) -> Vec<Failure> {
        self.iter_mut().filter_map(take_err).collect()
    }
    fn share_failures(&mut self) -> Vec<Failure> {
        self.iter_mut().filter_map(share_err).collect()
    }
    fn results(self) -> Option<Self::Results> {
        self.into_iter().collect()
    }
    fn values(self) -> Option<Self::Values> {
        self.into_iter().map(|slot| slot?.ok()).collect()
    }
}

impl<T: 'static> Members for Vec<Deferred<T>> {
    type Results = Vec<Result<T, Failure>>;
    type Values = Vec<T>;
    type One = (usize, T);
    type Slots = Vec<Slot<T>>;
    fn slots(&self) -> Self::Slots {
        self.iter().map(|_| None).collect()
    }
    fn enlist<G: Goal<Self::Slots>>(self, entry: &mut Entry<'_, Self::Slots, G>) {
        for member in self {
            entry.admit(member, |slots, index, outcome| {
                if let Some(slot) = slots.get_mut(index) {
                    *slot = Some(outcome);
                }
            });
        }
    }
}

impl<T: 'static, const N: usize> Members for [Deferred<T>; N] {
    type Results = Vec<Result<T, Failure>>;
    type Values = Vec<T>;
    type One = (usize, T);
    type Slots = Vec<Slot<T>>;
    fn slots(&self) -> Self::Slots {
        self.iter().map(|_| None).collect()
    }
    fn enlist<G: Goal<Self::Slots>>(self, entry: &mut Entry<'_, Self::Slots, G>) {
        Vec::from(self).enlist(entry);
    }
}

macro_rules! tuples {
    ($($one:ident, $n:literal: $($k:tt $T:ident),+;)+) => {$(
        #[doc = concat!("The value of one of ", $n, " members of different types: `A` is that of the first.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $one<$($T),+> {
            $(
                #[doc = concat!("The value of member ", $k, ".")]
                $T($T),
            )+
        }

        impl<$($T),+> $one<$($T),+> {
            /// Which member's value it is, counted from 0.
            pub fn index(&self) -> usize {
                match self {
                    $($one::$T(_) => $k,)+
                }
            }
        }

        impl<$($T: 'static),+> Slots for ($(Slot<$T>,)+) {
            type Results = ($(Result<$T, Failure>,)+);
            type Values = ($($T,)+);
            type One = $one<$($T),+>;

            fn take_failure(&mut self, index: usize) -> Option<Failure> {
                match index {
                    $($k => take_err(&mut self.$k),)+
                    _ => None,
                }
            }
            fn take_value(&mut self, index: usize) -> Option<Self::One> {
                match index {
                    $($k => take_ok(&mut self.$k).map($one::$T),)+
                    _ => None,
                }
            }
            fn failures(&mut self) -> Vec<Failure> {
                [$(take_err(&mut self.$k)),+].into_iter().flatten().collect()
            }
            fn share_failures(&mut self) -> Vec<Failure> {
                [$(share_err(&mut self.$k)),+].into_iter().flatten().collect()
            }
            fn results(self) -> Option<Self::Results> {
                Some(($(self.$k?,)+))
            }
            fn values(self) -> Option<Self::Values> {
                Some(($(self.$k?.ok()?,)+))
            }
        }

        impl<$($T: 'static),+> Members for ($(Deferred<$T>,)+) {
            type Results = ($(Result<$T, Failure>,)+);
            type Values = ($($T,)+);
            type One = $one<$($T),+>;
            type Slots = ($(Slot<$T>,)+);
            fn slots(&self) -> Self::Slots {
                ($(None::<Outcome<$T>>,)+)
            }
            fn enlist<G: Goal<Self::Slots>>(self, entry: &mut Entry<'_, Self::Slots, G>) {
                $(entry.admit(self.$k, |slots, _, outcome| slots.$k = Some(outcome));)+
            }
        }
    )+};
}

tuples! {
    OneOf2, 2: 0 A, 1 B;
    OneOf3, 3: 0 A, 1 B, 2 C;
    OneOf4, 4: 0 A, 1 B, 2 C, 3 D;
    OneOf5, 5: 0 A, 1 B, 2 C, 3 D, 4 E;
    OneOf6, 6: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F;
    OneOf7, 7: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 H;
    OneOf8, 8: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 H, 7 I;
}
