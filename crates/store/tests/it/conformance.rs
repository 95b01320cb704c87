//! No case is forgotten: what is written is in the table, and what is in the table is written.

use std::fs;
use std::path::Path;

use store::conformance::TABLE;

#[test]
fn every_case_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    for (group, cases) in TABLE {
        let text = fs::read_to_string(folder.join(format!("{group}.rs"))).unwrap();
        let written: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();
        assert_eq!(written, *cases, "in {group}.rs, and in the table");
    }
}
