//! Measures the time of a signature and of a comparison, in nanoseconds, for two short questions and for two texts of
//! 32 KB, which have signatures of almost the maximum size. The code at their ends is their material, so that the rest
//! is read as an instruction.

use std::hint::black_box;
use std::time::Instant;

use mneme_guard::{Signature, compare};

fn nanoseconds(rounds: u32, mut step: impl FnMut()) -> u128 {
    step();
    let start = Instant::now();
    (0..rounds).for_each(|_| step());
    start.elapsed().as_nanos() / u128::from(rounds)
}

fn main() {
    let short = ["How do I reset the password of my account?", "How can I change my account's password please?"];
    let long =
        [("tea rain 12 not ", 2000), ("sun milk 13 all ", 2000)].map(|(text, times)| text.repeat(times) + "```x```");
    for (name, [a, b], rounds) in [("short", short.map(str::to_owned), 10_000), ("32 KB", long, 20)] {
        let sign = nanoseconds(rounds, || drop(black_box(Signature::of(black_box(&a)))));
        let (x, y) = (Signature::of(&a), Signature::of(&b));
        let compared = nanoseconds(rounds, || {
            black_box(compare(black_box(&x), black_box(&y), 0.9));
        });
        println!("{name}: signature {sign} ns, comparison {compared} ns");
    }
}
