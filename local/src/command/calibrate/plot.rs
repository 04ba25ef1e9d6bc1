//! The curve of the half held back, as SVG: precision against recall, and good hits against wrong hits.
//!
//! Two lines in two squares are written out here; a drawing library would bring more than that takes.

use std::fmt::Write as _;

use super::report::Reply;

/// The side of a panel, in pixels.
const SIDE: f64 = 320.0;
/// Room for the labels left of a panel, and below it.
const MARGIN: f64 = 56.0;
/// Room above the panels, and right of each.
const TOP: f64 = 40.0;
const WIDTH: f64 = 2.0 * (MARGIN + SIDE) + 40.0;
const HEIGHT: f64 = TOP + SIDE + MARGIN;

/// A line through points in [0, 1]², and the point of the threshold that was chosen.
struct Panel {
    title: &'static str,
    across: &'static str,
    up: &'static str,
    points: Vec<(f64, f64)>,
    chosen: (f64, f64),
}

/// The picture. It uses no fonts but the viewer's, and shows on white and on black.
pub(super) fn svg(reply: &Reply) -> String {
    let curve = || reply.curve.iter().map(|point| &point.yields);
    let panels = [
        Panel {
            title: "Precision and recall, half held back",
            across: "recall",
            up: "precision",
            points: curve().map(|of| (of.recall, of.precision)).collect(),
            chosen: (reply.held_back.recall, reply.held_back.precision),
        },
        Panel {
            title: "Good hits and wrong hits, half held back",
            across: "different pairs served",
            up: "same pairs served",
            // A threshold above all serves neither.
            points: std::iter::once((0.0, 0.0)).chain(curve().map(|of| (of.wrong, of.recall))).collect(),
            chosen: (reply.held_back.wrong, reply.held_back.recall),
        },
    ];
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#808080\">\n"
    );
    for (panel, left) in panels.iter().zip([MARGIN, 2.0 * MARGIN + SIDE + 20.0]) {
        draw(&mut out, panel, left);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, left: f64) {
    let x = |share: f64| left + share * SIDE;
    let y = |share: f64| TOP + (1.0 - share) * SIDE;
    let (middle, bottom) = (x(0.5), y(0.0));
    let Panel { title, across, up, points, chosen } = panel;
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" font-size=\"14\">{title}</text>", TOP - 14.0));
    for tenth in (0..=10).step_by(2) {
        let share = f64::from(tenth) / 10.0;
        let (x, y, label) = (x(share), y(share), format!("{} %", tenth * 10));
        line(format!(
            "<path d=\"M{x:.1} {TOP:.1}V{bottom:.1}M{left:.1} {y:.1}H{:.1}\" stroke=\"#808080\" stroke-opacity=\"0.3\"/>",
            left + SIDE
        ));
        line(format!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", bottom + 18.0));
        line(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", left - 6.0, y + 4.0));
    }
    line(format!("<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>", bottom + 38.0));
    let (up_x, up_y) = (left - 44.0, y(0.5));
    line(format!(
        "<text x=\"{up_x:.1}\" y=\"{up_y:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {up_x:.1} {up_y:.1})\">{up}</text>"
    ));
    let mut path = String::new();
    for (at, &(across, up)) in points.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x(across), y(up));
    }
    line(format!("<path d=\"{path}\" fill=\"none\" stroke=\"#2878b5\" stroke-width=\"2\"/>"));
    let (chosen_x, chosen_y) = (x(chosen.0), y(chosen.1));
    line(format!(
        "<circle cx=\"{chosen_x:.1}\" cy=\"{chosen_y:.1}\" r=\"5\" fill=\"#c82423\"><title>the threshold chosen</title></circle>"
    ));
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::reply;
    use super::*;

    #[test]
    fn both_curves_and_the_choice_are_where_they_belong() {
        let text = svg(&reply(Some(0.8)));
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
        let paths: Vec<&str> = text.lines().filter(|line| line.contains("stroke-width=\"2\"")).collect();
        // Recall 0.25, 0.5, 1 across and precision 0.9 up; then wrong 0.1 across and recall up, from nothing served.
        assert!(paths[0].contains("d=\"M136.0 72.0L216.0 72.0L376.0 72.0\""), "{}", paths[0]);
        assert!(paths[1].contains("d=\"M452.0 360.0L484.0 280.0L484.0 200.0L484.0 40.0\""), "{}", paths[1]);
        let circles: Vec<&str> = text.lines().filter(|line| line.contains("<circle")).collect();
        assert!(circles[0].contains("cx=\"216.0\" cy=\"72.0\""), "{}", circles[0]);
        assert!(circles[1].contains("cx=\"484.0\" cy=\"200.0\""), "{}", circles[1]);
        // Every tag that is opened is closed.
        let opened = text.matches("<text").count() + text.matches("<title").count();
        assert_eq!(opened, text.matches("</text>").count() + text.matches("</title>").count());
    }

    #[test]
    fn nothing_served_is_a_picture_too() {
        let mut nothing = reply(None);
        nothing.curve.clear();
        let text = svg(&nothing);
        assert!(text.contains("d=\"\" fill=\"none\"") && text.contains("d=\"M452.0 360.0\" fill=\"none\""));
    }
}
