//! The curve on the half held back, as CSV.

use super::report::{Point, Reply, Yield};

/// Returns one line per threshold of the curve, highest threshold first, under a line of column names.
///
/// `recall` is the share of the same pairs that are served (good hits), and `wrong` the share of the different pairs.
pub(super) fn to_csv(reply: &Reply) -> String {
    let line = |point: &Point| {
        let Yield { precision, recall, wrong, f1 } = point.yields;
        format!("{},{precision},{recall},{wrong},{f1}\n", point.threshold)
    };
    std::iter::once("threshold,precision,recall,wrong,f1\n".to_owned()).chain(reply.curve.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::reply;
    use super::*;

    #[test]
    fn to_csv_has_a_line_per_point() {
        let expected = "threshold,precision,recall,wrong,f1\n\
                        0.95,0.9,0.25,0.1,0.8123\n\
                        0.8,0.9,0.5,0.1,0.8123\n\
                        0.3,0.9,1,0.1,0.8123\n";
        assert_eq!(to_csv(&reply(Some(0.8))), expected);
    }

    #[test]
    fn to_csv_without_points_has_the_column_names() {
        let mut nothing = reply(None);
        nothing.curve.clear();
        assert_eq!(to_csv(&nothing), "threshold,precision,recall,wrong,f1\n");
    }
}
