//! Line plots as SVG, written by hand: few lines, labelled axes, legible on light and dark pages.

use std::fmt::Write as _;

use crate::contest::{Series, grouped};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 52.0;

/// Colours that stand out from white and from black alike.
const COLOURS: [&str; 6] = ["#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#ca8a04"];

/// What the plot is of.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// Whether each step to the right multiplies.
    pub(crate) logarithmic: bool,
}

/// The plot of some lines; its y axis begins at zero, so that what grows is seen to grow.
pub(crate) fn svg(labels: &Labels, lines: &[&Series]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let scale = |x: f64| if labels.logarithmic { x.max(1.0).log10() } else { x };
    let least = points().map(|point| scale(point.0)).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| scale(point.0)).fold(f64::NEG_INFINITY, f64::max);
    let (step, top) = ticks(points().map(|point| point.1).fold(0.0, f64::max));
    let x_of = |x: f64| LEFT + (scale(x) - least) / (most - least).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y_of = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
    let mut out = head(labels);
    let mut y = 0.0;
    while y <= top + step / 2.0 {
        let at = y_of(y);
        let _ = writeln!(out, r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/>"#, WIDTH - RIGHT);
        let _ = writeln!(out, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#, LEFT - 8.0, at + 4.0, figure(y));
        y += step;
    }
    for x in x_ticks(labels.logarithmic, lines) {
        let at = x_of(x);
        let _ = writeln!(out, r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, HEIGHT - BOTTOM + 20.0, grouped(x as usize));
    }
    for (at, line) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let path: Vec<String> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", x_of(*x), y_of(*y))).collect();
        let _ = writeln!(out, r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, path.join(" "));
        if line.points.len() <= 10 {
            for (x, y) in &line.points {
                let _ = writeln!(out, r#"<circle cx="{:.1}" cy="{:.1}" r="4" fill="{colour}"/>"#, x_of(*x), y_of(*y));
            }
        }
        let (column, row) = ((at % 3) as f64, (at / 3) as f64);
        let (x, y) = (LEFT + column * 216.0, 38.0 + row * 16.0);
        let _ = writeln!(out, r#"<rect x="{x:.1}" y="{:.1}" width="12" height="4" fill="{colour}"/>"#, y - 6.0);
        let _ = writeln!(out, r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, x + 18.0, escaped(&line.name));
    }
    out.push_str("</svg>\n");
    out
}

/// Text and grid are grey, darker or lighter as the page asks for.
fn head(labels: &Labels) -> String {
    let Labels { title, x, y, .. } = labels;
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">
<style>
text {{ font: 12px system-ui, sans-serif; fill: #57606a; }}
.title {{ font-size: 14px; font-weight: 600; }}
.grid {{ stroke: #8c959f; stroke-opacity: 0.35; }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #adbac7; }} }}
</style>
"##
    );
    let _ = writeln!(out, r#"<text class="title" x="{LEFT}" y="18">{title}</text>"#);
    let _ = writeln!(out, r#"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">{x}</text>"#, HEIGHT - 12.0);
    let centre = (TOP + HEIGHT - BOTTOM) / 2.0;
    let _ = writeln!(out, r#"<text transform="translate(16 {centre:.1}) rotate(-90)" text-anchor="middle">{y}</text>"#);
    out
}

/// A round step and a round end for an axis from zero to a value.
fn ticks(most: f64) -> (f64, f64) {
    let rough = (most.max(1e-3)) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough).unwrap_or(power * 10.0);
    (step, step * (most.max(1e-3) / step).ceil())
}

fn x_ticks(logarithmic: bool, lines: &[&Series]) -> Vec<f64> {
    let mut all: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let Some(most) = all.last().copied().filter(|_| !logarithmic) else { return all };
    let (step, _) = ticks(most);
    let mut at = all[0];
    std::iter::once(at)
        .chain(std::iter::from_fn(|| {
            at = (at / step).floor() * step + step;
            (at <= most).then_some(at)
        }))
        .collect()
}

fn figure(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
