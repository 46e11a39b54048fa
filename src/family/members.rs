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
///
/// ```
/// use ropewalk::{Deferred, Failure, Members, gather_results, testing::success_of};
///
/// /// The values of these members; a failure says what they were for.
/// fn all_or_say<M: Members>(members: M, what: &'static str) -> Deferred<M::Values> {
///     gather_results(members).add_errback(move |failure| Err(Failure::msg(format!("{what}: {failure}"))))
/// }
///
/// let (name, age) = success_of(all_or_say((Deferred::succeed("Ada"), Deferred::succeed(36)), "a person"));
/// assert_eq!((name, age), ("Ada", 36));
/// let pages = success_of(all_or_say([Deferred::succeed(1), Deferred::succeed(2)], "pages"));
/// assert_eq!(pages, [1, 2]);
/// ```
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
    ($($(#[$doc:meta])* $one:ident, $n:literal: $($k:tt $T:ident),+;)+) => {$(
        #[doc = concat!("The value of one of ", $n, " members of different types: `A` is that of the first.")]
        $(#[$doc])*
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
    ///
    /// ```
    /// use ropewalk::{Deferred, OneOf2, race, testing::success_of};
    ///
    /// let (_answer, page) = Deferred::<String>::new();
    /// let (stop_button, pressed) = Deferred::new();
    /// let first = race((page, pressed)).map(|first| match first {
    ///     OneOf2::A(page) => page,
    ///     OneOf2::B(()) => "stopped".to_owned(),
    /// });
    /// stop_button.succeed(());
    /// assert_eq!(success_of(first), "stopped");
    /// ```
    OneOf2, 2: 0 A, 1 B;
    ///
    /// ```
    /// use ropewalk::{Deferred, OneOf3, race, testing::success_of};
    ///
    /// let (page, cached, default) = (Deferred::<String>::new(), Deferred::<&str>::new(), Deferred::<()>::new());
    /// let first = race((page.1, cached.1, default.1));
    /// cached.0.succeed("of yesterday");
    /// assert_eq!(success_of(first), OneOf3::B("of yesterday"));
    /// assert!(page.0.is_cancelled() && default.0.is_cancelled());
    /// ```
    OneOf3, 3: 0 A, 1 B, 2 C;
    ///
    /// ```
    /// use ropewalk::{Deferred, DeferredList, FirstOrAll, OneOf4, testing::success_of};
    ///
    /// let (a, b) = (Deferred::succeed(1_u8), Deferred::succeed(2_u16));
    /// let (c, d) = (Deferred::succeed(3_u32), Deferred::succeed(4_u64));
    /// let list = DeferredList::new((a, b, c, d)).fire_on_one_callback().start();
    /// assert!(matches!(success_of(list), FirstOrAll::First(OneOf4::A(1))));
    /// ```
    OneOf4, 4: 0 A, 1 B, 2 C, 3 D;
    ///
    /// ```
    /// use ropewalk::{Deferred, Failure, OneOf5, race, testing::success_of};
    ///
    /// fn down<T: 'static>() -> Deferred<T> {
    ///     Deferred::fail(Failure::msg("down"))
    /// }
    ///
    /// // Whoever fails is out, until one has a value.
    /// let last = Deferred::succeed('e');
    /// let first = success_of(race((down::<u8>(), down::<u16>(), down::<u32>(), down::<u64>(), last)));
    /// assert_eq!(first, OneOf5::E('e'));
    /// assert_eq!(first.index(), 4);
    /// ```
    OneOf5, 5: 0 A, 1 B, 2 C, 3 D, 4 E;
    ///
    /// ```
    /// use ropewalk::OneOf6;
    ///
    /// type First = OneOf6<u8, u16, u32, u64, char, String>;
    ///
    /// let values = [First::A(1), First::E('e'), First::F("f".to_owned())];
    /// assert_eq!(values.map(|value| value.index()), [0, 4, 5]);
    /// ```
    OneOf6, 6: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F;
    ///
    /// The letter `G` is left out.
    ///
    /// ```
    /// use ropewalk::OneOf7;
    ///
    /// let last: OneOf7<u8, u16, u32, u64, char, String, &str> = OneOf7::H("the seventh");
    /// assert_eq!(last.index(), 6);
    /// ```
    OneOf7, 7: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 H;
    ///
    /// ```
    /// use ropewalk::{Deferred, OneOf8, race, testing::success_of};
    ///
    /// let (answer, never) = Deferred::<u8>::new();
    /// let (b, c, d) = (Deferred::<u16>::new(), Deferred::<u32>::new(), Deferred::<u64>::new());
    /// let (e, f, h) = (Deferred::<i8>::new(), Deferred::<i16>::new(), Deferred::<i32>::new());
    /// let (button, pressed) = Deferred::<()>::new();
    /// let first = race((never, b.1, c.1, d.1, e.1, f.1, h.1, pressed));
    /// button.succeed(());
    /// assert_eq!(success_of(first), OneOf8::I(()));
    /// assert!(answer.is_cancelled() && h.0.is_cancelled());
    /// ```
    OneOf8, 8: 0 A, 1 B, 2 C, 3 D, 4 E, 5 F, 6 H, 7 I;
}
