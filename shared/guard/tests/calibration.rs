//! Thresholds from labelled pairs, beside a brute-force reference.

use mneme_guard::{CalibrationError, Judged, LEAST_PAIRS, LabelledPair, Target, calibrate};
use proptest::prelude::*;

fn pair(similarity: f64, same: bool) -> LabelledPair {
    LabelledPair { similarity, judged: Judged::Confident(0.9), same }
}

fn pairs() -> impl Strategy<Value = Vec<LabelledPair>> {
    let judged = prop_oneof![1 => Just(Judged::Vetoed), 5 => (0.0f64..1.0).prop_map(Judged::Confident)];
    let one = (0u8..20, judged, any::<bool>()).prop_map(|(step, judged, same)| LabelledPair {
        similarity: f64::from(step) / 20.0,
        judged,
        same,
    });
    prop::collection::vec(one, LEAST_PAIRS..80)
}

/// What a threshold serves of a half: (hits, wrong, same, different), counted one by one.
fn counted(pairs: &[LabelledPair], half: usize, cutoff: f64, threshold: f64) -> (usize, usize, usize, usize) {
    let (mut turns, mut counts) = ([0usize; 2], (0, 0, 0, 0));
    for pair in pairs {
        let turn = turns[usize::from(pair.same)];
        turns[usize::from(pair.same)] += 1;
        if turn % 2 != half {
            continue;
        }
        let served = pair.similarity >= threshold && matches!(pair.judged, Judged::Confident(p) if p >= cutoff);
        match pair.same {
            true => (counts.0, counts.2) = (counts.0 + usize::from(served), counts.2 + 1),
            false => (counts.1, counts.3) = (counts.1 + usize::from(served), counts.3 + 1),
        }
    }
    counts
}

proptest! {
    #[test]
    fn the_best_threshold_is_the_best_of_all(pairs in pairs(), most in 0.0f64..1.0, cutoff in 0.0f64..1.0) {
        let Ok(found) = calibrate(&pairs, Target::MaxWrong(most), cutoff) else { return Ok(()) };
        let best = (0..=21)
            .map(|step| counted(&pairs, 0, cutoff, f64::from(step) / 20.0))
            .filter(|(_, wrong, _, different)| *wrong as f64 <= most * *different as f64 + 1e-12)
            .map(|(hits, ..)| hits)
            .max();
        let (hits, wrong, same, different) = counted(&pairs, 0, cutoff, found.threshold);
        prop_assert_eq!(Some(hits), best);
        prop_assert!(wrong as f64 <= most * different as f64 + 1e-12);
        prop_assert!((found.fitted.recall - hits as f64 / same as f64).abs() < 1e-12);
        let (hits, wrong, same, different) = counted(&pairs, 1, cutoff, found.threshold);
        prop_assert!((found.held_back.recall - hits as f64 / same as f64).abs() < 1e-12);
        prop_assert!((found.held_back.wrong - wrong as f64 / different as f64).abs() < 1e-12);
        for point in &found.curve {
            let (hits, wrong, ..) = counted(&pairs, 1, cutoff, point.threshold);
            prop_assert!((point.precision - hits as f64 / (hits + wrong) as f64).abs() < 1e-12);
        }
        prop_assert!(found.curve.windows(2).all(|two| two[0].threshold > two[1].threshold));
        prop_assert_eq!(calibrate(&pairs, Target::MaxWrong(most), cutoff), Ok(found));
    }

    #[test]
    fn the_best_f1_is_the_best_of_all(pairs in pairs()) {
        let Ok(found) = calibrate(&pairs, Target::F1, 0.5) else { return Ok(()) };
        let f1 = |step| {
            let (hits, wrong, same, _) = counted(&pairs, 0, 0.5, f64::from(step) / 20.0);
            if hits == 0 { 0.0 } else { 2.0 * hits as f64 / (hits + wrong + same) as f64 }
        };
        let best = (0..=21).map(f1).fold(0.0, f64::max);
        prop_assert!((found.fitted.f1 - best).abs() < 1e-12);
    }
}

#[test]
fn separable_pairs_are_separated() {
    let pairs: Vec<_> = (0..40).map(|i| pair(if i % 2 == 0 { 0.9 } else { 0.3 }, i % 2 == 0)).collect();
    let found = calibrate(&pairs, Target::F1, 0.7).expect("enough pairs");
    assert_eq!((found.threshold, found.held_back.precision, found.held_back.recall), (0.9, 1.0, 1.0));
}

#[test]
fn where_nothing_may_be_wrong_and_all_is_nothing_is_served() {
    let pairs: Vec<_> = (0..40).map(|i| pair(0.9, i % 2 == 0)).collect();
    let found = calibrate(&pairs, Target::MaxWrong(0.0), 0.7).expect("enough pairs");
    assert!(found.threshold > 0.9);
    assert_eq!((found.held_back.recall, found.held_back.precision), (0.0, 1.0));
}

#[test]
fn bad_pairs_are_named() {
    let few: Vec<_> = (0..LEAST_PAIRS - 1).map(|i| pair(0.5, i % 2 == 0)).collect();
    assert_eq!(calibrate(&few, Target::F1, 0.7), Err(CalibrationError::TooFew { found: LEAST_PAIRS - 1 }));
    let alike: Vec<_> = (0..30).map(|i| pair(0.5, i > 0)).collect();
    assert_eq!(calibrate(&alike, Target::F1, 0.7), Err(CalibrationError::OneClass { same: 29, different: 1 }));
    let mut broken: Vec<_> = (0..30).map(|i| pair(0.5, i % 2 == 0)).collect();
    broken[3].similarity = f64::NAN;
    assert_eq!(calibrate(&broken, Target::F1, 0.7), Err(CalibrationError::NotFinite { at: 3 }));
    assert_eq!(calibrate(&few, Target::MaxWrong(1.5), 0.7), Err(CalibrationError::BadTarget { found: 1.5 }));
}
