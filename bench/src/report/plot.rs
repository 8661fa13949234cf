//! CPU for each request as bars, one pair for each case. The lengths are shares of Envoy's bar: cases differ too much for
//! one scale.

use std::fmt::Write as _;

use super::Results;
use crate::gateway::Gateway::{Envoy, Tollgate};

const LEFT: usize = 230;
const WIDTH: f64 = 460.0;
const ROW: usize = 34;
const TOP: usize = 56;

pub(super) fn plot(results: &Results) -> String {
    let rows: Vec<_> = results
        .in_order()
        .filter_map(|(name, case)| {
            let cpu = |gateway| case.figure(gateway, |it| it.cpu);
            Some((name, cpu(Envoy)?, cpu(Tollgate)?))
        })
        .collect();
    let height = TOP + rows.len() * ROW + 10;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"860\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"14\" y=\"22\" font-size=\"15\">CPU for each request, microseconds (shorter is better)</text>\n\
         <rect x=\"{LEFT}\" y=\"34\" width=\"12\" height=\"12\" fill=\"#b9c2cc\"/><text x=\"248\" y=\"45\">Envoy</text>\n\
         <rect x=\"310\" y=\"34\" width=\"12\" height=\"12\" fill=\"#1f6f54\"/><text x=\"328\" y=\"45\">Tollgate</text>\n"
    );
    for (index, (name, envoy, tollgate)) in rows.iter().enumerate() {
        let y = TOP + index * ROW;
        let longest = envoy.max(*tollgate);
        let _ = writeln!(out, "<text x=\"14\" y=\"{}\">{name}</text>", y + 18);
        for (value, color, y) in [(envoy, "#b9c2cc", y + 2), (tollgate, "#1f6f54", y + 15)] {
            let length = value / longest * WIDTH;
            let _ = writeln!(
                out,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\" fill=\"{color}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"10\">{value:.1}</text>",
                LEFT as f64 + length + 5.0,
                y + 10
            );
        }
    }
    out.push_str("</svg>\n");
    out
}
