//! The usual mistakes with callbacks: what the compiler says must name the remedy.
//!
//! `ui/*.stderr` hold its words, which change with the compiler. After a change, look at them, and then write them anew
//! with `TRYBUILD=overwrite cargo test --test mistakes`.

#[test]
fn the_compiler_names_the_remedy() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
