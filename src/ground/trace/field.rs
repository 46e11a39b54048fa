//! What an event is made of, for those who write events and read them: a small set of field types, and two traits
//! that each form of a trace (packed in memory, JSON Lines) implements once for all kinds.

use super::event::{Asked, Gave, Id, Open, Val};

/// Takes the fields of an event, in the order of the table of kinds.
pub(super) trait Put {
    fn num(&mut self, key: &'static str, n: u64);
    fn small(&mut self, key: &'static str, n: u32) {
        self.num(key, u64::from(n));
    }
    fn flag(&mut self, key: &'static str, is: bool);
    /// One of a few words; `code` is its place among them.
    fn word(&mut self, key: &'static str, word: &'static str, code: u8);
    fn text(&mut self, key: &'static str, text: &str);
    /// One text, or two: the second may be empty.
    fn pair(&mut self, key: &'static str, texts: [&str; 2]);
    fn id(&mut self, key: &'static str, id: Id);
    fn ids(&mut self, key: &'static str, ids: &[Id]);
    fn asked(&mut self, key: &'static str, asked: &[Asked]);
    fn val(&mut self, key: &'static str, val: Val<'_>);
    fn gave(&mut self, key: &'static str, gave: Gave);
    fn open(&mut self, key: &'static str, open: Open);
    /// Says before an optional field whether it is there.
    fn there(&mut self, is: bool);
}

/// Gives the fields of an event, in the same order. `None` for what is not there, or is of another type.
pub(super) trait Get<'t> {
    fn num(&mut self, key: &'static str) -> Option<u64>;
    fn small(&mut self, key: &'static str) -> Option<u32> {
        self.num(key)?.try_into().ok()
    }
    fn flag(&mut self, key: &'static str) -> Option<bool>;
    fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T>;
    fn text(&mut self, key: &'static str) -> Option<&'t str>;
    fn pair(&mut self, key: &'static str) -> Option<[&'t str; 2]>;
    fn id(&mut self, key: &'static str) -> Option<Id>;
    fn ids(&mut self, key: &'static str) -> Option<&'t [Id]>;
    fn asked(&mut self, key: &'static str) -> Option<&'t [Asked]>;
    fn val(&mut self, key: &'static str) -> Option<Val<'t>>;
    fn gave(&mut self, key: &'static str) -> Option<Gave>;
    fn open(&mut self, key: &'static str) -> Option<Open>;
    /// Whether the optional field of that key is there.
    fn there(&mut self, key: &'static str) -> bool;
}

/// A type that a field of an event may have.
pub(super) trait Field<'t>: Sized {
    /// The most bits that it takes among the small fields of a packed row.
    const BITS: u32;

    fn put(self, key: &'static str, to: &mut impl Put);
    fn get(key: &'static str, from: &mut impl Get<'t>) -> Option<Self>;
}

macro_rules! fields {
    ($($ty:ty: $method:ident, $bits:literal);* $(;)?) => { $(
        impl<'t> Field<'t> for $ty {
            const BITS: u32 = $bits;

            #[cfg_attr(not(debug_assertions), inline(always))]
            fn put(self, key: &'static str, to: &mut impl Put) {
                to.$method(key, self);
            }
            fn get(key: &'static str, from: &mut impl Get<'t>) -> Option<Self> {
                from.$method(key)
            }
        }
    )* };
}

fields! {
    u64: num, 1;
    u32: small, 0;
    bool: flag, 1;
    &'t str: text, 0;
    // The names of a callback and of an errback; the second is empty where there is one function.
    [&'t str; 2]: pair, 1;
    Id: id, 3;
    &'t [Id]: ids, 0;
    &'t [Asked]: asked, 0;
    Val<'t>: val, 4;
    Gave: gave, 3;
    Open: open, 0;
}

impl<'t, F: Field<'t>> Field<'t> for Option<F> {
    const BITS: u32 = 1 + F::BITS;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn put(self, key: &'static str, to: &mut impl Put) {
        to.there(self.is_some());
        if let Some(field) = self {
            field.put(key, to);
        }
    }
    fn get(key: &'static str, from: &mut impl Get<'t>) -> Option<Self> {
        if from.there(key) { Some(Some(F::get(key, from)?)) } else { Some(None) }
    }
}

/// An enum whose values are words in a trace.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$value_doc])* $value),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$value),*];
            const WORDS: &'static [(&'static str, $name)] = &[$(($word, $name::$value)),*];

            /// The word for it in a trace file.
            pub const fn word(self) -> &'static str {
                match self { $($name::$value => $word),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl<'t> $crate::ground::trace::field::Field<'t> for $name {
            const BITS: u32 = {
                assert!($name::ALL.len() <= 16);
                4
            };

            #[cfg_attr(not(debug_assertions), inline(always))]
            fn put(self, key: &'static str, to: &mut impl $crate::ground::trace::field::Put) {
                to.word(key, self.word(), self as u8);
            }
            fn get(key: &'static str, from: &mut impl $crate::ground::trace::field::Get<'t>) -> Option<Self> {
                from.word(key, $name::WORDS)
            }
        }
    };
}
pub(super) use words;
