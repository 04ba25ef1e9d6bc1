//! Calibration, compared with a brute-force reference.

use mneme_guard::{CalibrationError, Cutoff, LabelledPair, MIN_PAIRS, PairScore, Target, calibrate};
use proptest::prelude::*;

fn pair(similarity: f64, same: bool) -> LabelledPair {
    LabelledPair { similarity, score: PairScore::Confidence(0.9), same }
}

fn pairs() -> impl Strategy<Value = Vec<LabelledPair>> {
    let score = prop_oneof![1 => Just(PairScore::Vetoed), 5 => (0.0f64..1.0).prop_map(PairScore::Confidence)];
    let one = (0u8..20, score, any::<bool>()).prop_map(|(step, score, same)| LabelledPair {
        similarity: f64::from(step) / 20.0,
        score,
        same,
    });
    prop::collection::vec(one, MIN_PAIRS..80)
}

/// The counts (hits, wrong, same, different) of one half at one threshold.
fn counted(pairs: &[LabelledPair], half: usize, cutoff: f64, threshold: f64) -> (usize, usize, usize, usize) {
    let (mut seen_of_label, mut counts) = ([0usize; 2], (0, 0, 0, 0));
    for pair in pairs {
        let seen = seen_of_label[usize::from(pair.same)];
        seen_of_label[usize::from(pair.same)] += 1;
        if seen % 2 != half {
            continue;
        }
        let served = pair.similarity >= threshold && matches!(pair.score, PairScore::Confidence(p) if p >= cutoff);
        match pair.same {
            true => (counts.0, counts.2) = (counts.0 + usize::from(served), counts.2 + 1),
            false => (counts.1, counts.3) = (counts.1 + usize::from(served), counts.3 + 1),
        }
    }
    counts
}

proptest! {
    #[test]
    fn calibrate_for_max_wrong_returns_best_of_all_thresholds(
        pairs in pairs(),
        max in 0.0f64..1.0,
        cutoff in 0.0f64..1.0,
    ) {
        let Ok(found) = calibrate(&pairs, Target::MaxWrong(max), Cutoff::At(cutoff)) else { return Ok(()) };
        let best = (0..=21)
            .map(|step| counted(&pairs, 0, cutoff, f64::from(step) / 20.0))
            .filter(|(_, wrong, _, different)| *wrong as f64 <= max * *different as f64 + 1e-12)
            .map(|(hits, ..)| hits)
            .max();
        let (hits, wrong, same, different) = counted(&pairs, 0, cutoff, found.threshold);
        prop_assert_eq!(Some(hits), best);
        prop_assert!(wrong as f64 <= max * different as f64 + 1e-12);
        prop_assert!((found.fitted.recall - hits as f64 / same as f64).abs() < 1e-12);
        let (hits, wrong, same, different) = counted(&pairs, 1, cutoff, found.threshold);
        prop_assert!((found.held_back.recall - hits as f64 / same as f64).abs() < 1e-12);
        prop_assert!((found.held_back.wrong - wrong as f64 / different as f64).abs() < 1e-12);
        for point in &found.curve {
            let (hits, wrong, ..) = counted(&pairs, 1, cutoff, point.threshold);
            prop_assert!((point.precision - hits as f64 / (hits + wrong) as f64).abs() < 1e-12);
        }
        prop_assert!(found.curve.windows(2).all(|two| two[0].threshold > two[1].threshold));
        prop_assert_eq!(calibrate(&pairs, Target::MaxWrong(max), Cutoff::At(cutoff)), Ok(found));
    }

    #[test]
    fn calibrate_for_f1_returns_best_of_all_thresholds(pairs in pairs()) {
        let Ok(found) = calibrate(&pairs, Target::F1, Cutoff::At(0.5)) else { return Ok(()) };
        let f1 = |step| {
            let (hits, wrong, same, _) = counted(&pairs, 0, 0.5, f64::from(step) / 20.0);
            if hits == 0 { 0.0 } else { 2.0 * hits as f64 / (hits + wrong + same) as f64 }
        };
        let best = (0..=21).map(f1).fold(0.0, f64::max);
        prop_assert!((found.fitted.f1 - best).abs() < 1e-12);
    }
}

#[test]
fn calibrate_with_separable_pairs_returns_separating_threshold() {
    let pairs: Vec<_> = (0..40).map(|i| pair(if i % 2 == 0 { 0.9 } else { 0.3 }, i % 2 == 0)).collect();
    let found = calibrate(&pairs, Target::F1, Cutoff::At(0.7)).expect("enough pairs");
    assert_eq!((found.threshold, found.held_back.precision, found.held_back.recall), (0.9, 1.0, 1.0));
}

#[test]
fn calibrate_without_tolerable_threshold_returns_threshold_that_serves_nothing() {
    let pairs: Vec<_> = (0..40).map(|i| pair(0.9, i % 2 == 0)).collect();
    let found = calibrate(&pairs, Target::MaxWrong(0.0), Cutoff::At(0.7)).expect("enough pairs");
    assert!(found.threshold > 0.9);
    assert_eq!((found.held_back.recall, found.held_back.precision), (0.0, 1.0));
}

#[test]
fn calibrate_with_invalid_pairs_returns_specific_error() {
    let few: Vec<_> = (0..MIN_PAIRS - 1).map(|i| pair(0.5, i % 2 == 0)).collect();
    assert_eq!(calibrate(&few, Target::F1, Cutoff::At(0.7)), Err(CalibrationError::TooFew { found: MIN_PAIRS - 1 }));
    let alike: Vec<_> = (0..30).map(|i| pair(0.5, i > 0)).collect();
    assert_eq!(
        calibrate(&alike, Target::F1, Cutoff::At(0.7)),
        Err(CalibrationError::OneClass { same: 29, different: 1 })
    );
    let mut broken: Vec<_> = (0..30).map(|i| pair(0.5, i % 2 == 0)).collect();
    broken[3].similarity = f64::NAN;
    assert_eq!(calibrate(&broken, Target::F1, Cutoff::At(0.7)), Err(CalibrationError::NotFinite { at: 3 }));
    assert_eq!(
        calibrate(&few, Target::MaxWrong(1.5), Cutoff::At(0.7)),
        Err(CalibrationError::BadTarget { found: 1.5 })
    );
}

#[test]
fn calibrate_with_the_best_cutoff_separates_pairs_that_no_threshold_separates() {
    // The similarities of both labels are alike, and the confidences are not.
    let scored =
        |same| LabelledPair { similarity: 0.9, score: PairScore::Confidence(if same { 0.66 } else { 0.58 }), same };
    let pairs: Vec<LabelledPair> = (0..200).map(|at| scored(at % 2 == 0)).collect();
    let at_default = calibrate(&pairs, Target::MaxWrong(0.0), Cutoff::At(0.7)).expect("enough pairs");
    assert_eq!((at_default.held_back.recall, at_default.wrong_hits_at_most), (0.0, 1.0));
    let best = calibrate(&pairs, Target::MaxWrong(0.0), Cutoff::Best).expect("enough pairs");
    assert_eq!((best.cutoff, best.held_back.recall, best.held_back.wrong), (0.65, 1.0, 0.0));
    // No wrong one of 50 hits: 1 − 0.05^(1/50).
    assert!((best.wrong_hits_at_most - 0.058_155).abs() < 1e-5, "{}", best.wrong_hits_at_most);
}
