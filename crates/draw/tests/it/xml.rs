//! A reader of XML just good enough to notice when a document is not well formed.

/// Panics unless the document has one root, matching tags, quoted attributes and known entities;
/// returns the names of all elements.
pub(crate) fn elements(document: &str) -> Vec<String> {
    assert!(
        document.chars().all(|c| c == '\n' || !c.is_control()),
        "control character"
    );
    let (mut names, mut open) = (Vec::new(), Vec::new());
    let mut rest = document.trim();
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start]);
        let end = start + rest[start..].find('>').expect("an unclosed tag");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "a tag that closes another");
            assert!(!open.is_empty() || rest.is_empty(), "text after the root");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
        check_attributes(attributes);
        names.push(name.to_owned());
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} left open");
    names
}

fn check_attributes(mut attributes: &str) {
    while !attributes.trim().is_empty() {
        let (name, value) = attributes
            .trim_start()
            .split_once("=\"")
            .expect("an attribute without a value");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-:".contains(c)),
            "attribute {name}"
        );
        let (value, rest) = value.split_once('"').expect("an unclosed attribute");
        check_text(value);
        attributes = rest;
    }
}

fn check_text(text: &str) {
    for entity in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(known.iter().any(|name| entity.starts_with(name)), "&{entity}");
    }
    assert!(!text.contains('<') && !text.contains("]]>"), "{text}");
}
