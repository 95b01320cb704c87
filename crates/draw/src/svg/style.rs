//! Colours and shapes that many elements share.
//!
//! Plain rules without CSS variables, because librsvg and some editors do not know those.

use std::fmt::Write;

use crate::graph::Status;
use crate::palette::look;
use crate::scene::Scene;

const SHAPES: &str = "\
.bell-graph text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Helvetica Neue',Arial,sans-serif;font-size:13px}
.bell-graph .title{font-size:19px;font-weight:650}
.bell-graph .label{font-weight:550}
.bell-graph .sub,.bell-graph .frame-label,.bell-graph .tag{font-size:11px}
.bell-graph .small .label{font-size:11.5px;font-weight:450}
.bell-graph .legend{font-size:12px}
.bell-graph .card{stroke-width:1}
.bell-graph .critical>.card{stroke-width:2}
.bell-graph .stripe,.bell-graph .share{fill:currentColor}
.bell-graph .wire{fill:none;stroke-width:1.4}
.bell-graph .wire.critical{stroke-width:2.6}
.bell-graph .dashed{stroke-dasharray:5 4}
.bell-graph .cycle{stroke-dasharray:2 3;stroke-linecap:round}
.bell-graph .frame{stroke-dasharray:3 3}
";

const LIGHT: &str = "\
.bell-graph .page{fill:#fbfcfd}
.bell-graph .title,.bell-graph .label{fill:#1f2328}
.bell-graph .sub,.bell-graph .legend,.bell-graph .frame-label,.bell-graph .tag{fill:#59636e}
.bell-graph .card{fill:#fff;stroke:#d1d9e0}
.bell-graph .wire{stroke:#9aa5b1}.bell-graph .head{fill:#9aa5b1}
.bell-graph .critical>.card,.bell-graph .wire.critical{stroke:#2563eb}.bell-graph .head.critical{fill:#2563eb}
.bell-graph .wire.cycle{stroke:#c2410c}.bell-graph .head.cycle{fill:#c2410c}
.bell-graph .frame{fill:#f2f5f8;stroke:#d1d9e0}
.bell-graph .tag-back{fill:#fbfcfd}
";

const DARK: &str = "\
.bell-graph .page{fill:#0d1117}
.bell-graph .title,.bell-graph .label{fill:#e6edf3}
.bell-graph .sub,.bell-graph .legend,.bell-graph .frame-label,.bell-graph .tag{fill:#9198a1}
.bell-graph .card{fill:#161b22;stroke:#343b44}
.bell-graph .wire{stroke:#59636e}.bell-graph .head{fill:#59636e}
.bell-graph .critical>.card,.bell-graph .wire.critical{stroke:#5b9dff}.bell-graph .head.critical{fill:#5b9dff}
.bell-graph .wire.cycle{stroke:#e0703a}.bell-graph .head.cycle{fill:#e0703a}
.bell-graph .frame{fill:#11161d;stroke:#2a313a}
.bell-graph .tag-back{fill:#0d1117}
";

/// Writes the style sheet, the heads of arrows and a dot for each status that occurs.
pub(super) fn write(out: &mut String, scene: &Scene) {
    out.push_str("<style>\n");
    out.push_str(SHAPES);
    out.push_str(LIGHT);
    for (status, _) in scene.tally.present() {
        let _ = writeln!(
            out,
            ".bell-graph .{}{{color:{}}}",
            status.word(),
            look(status).svg.0
        );
    }
    out.push_str("@media(prefers-color-scheme:dark){\n");
    out.push_str(DARK);
    for (status, _) in scene.tally.present() {
        let _ = writeln!(
            out,
            ".bell-graph .{}{{color:{}}}",
            status.word(),
            look(status).svg.1
        );
    }
    out.push_str("}\n</style>\n<defs>\n");
    for kind in ["plain", "critical", "cycle"] {
        let _ = writeln!(
            out,
            "<marker id=\"bell-head-{kind}\" markerUnits=\"userSpaceOnUse\" markerWidth=\"8\" markerHeight=\"8\" \
             refX=\".5\" refY=\"4\" orient=\"auto\"><path class=\"head {kind}\" d=\"M0 .5L6.5 4 0 7.5z\"/></marker>"
        );
    }
    for (status, _) in scene
        .tally
        .present()
        .filter(|(status, _)| *status != Status::None)
    {
        let fill = if status == Status::Running { "#fff" } else { "none" };
        let (word, sign) = (status.word(), look(status).sign);
        // Attributes, because browsers do not apply rules with an ancestor to what `use` repeats.
        let _ = writeln!(
            out,
            "<g id=\"bell-{word}\"><circle r=\"7\" fill=\"currentColor\"/><path d=\"{sign}\" fill=\"{fill}\" \
             stroke=\"#fff\" stroke-width=\"1.6\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/></g>"
        );
    }
    out.push_str("</defs>\n");
}
