//! What tools take and give: one declaration makes the schema that clients see and the check that calls pass.

use domain::code::{Code, Refusal, nearest};
use domain::limits;
use serde_json::{Map, Value, json};

/// One property of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// Has to be given; of an answer: is always there.
    needed: bool,
    /// An answer's value that may be `null`.
    null: bool,
    about: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Text,
    Texts,
    /// From and to, both included.
    Whole(i64, i64),
    Number,
    Flag,
    Word(&'static [&'static str]),
    /// Any JSON.
    Any,
    Object,
    Of(&'static [Field]),
    Many(&'static [Field]),
}

/// Entries of one list in a call.
const LIST_MAX: usize = limits::PAGE_MAX;

/// What a call has to say.
pub(crate) const fn must(name: &'static str, form: Form, about: &'static str) -> Field {
    Field {
        needed: true,
        ..may(name, form, about)
    }
}

/// What a call may say.
pub(crate) const fn may(name: &'static str, form: Form, about: &'static str) -> Field {
    Field {
        name,
        form,
        needed: false,
        null: false,
        about,
    }
}

/// What an answer always has.
pub(crate) const fn has(name: &'static str, form: Form) -> Field {
    must(name, form, "")
}

/// What an answer may have.
pub(crate) const fn some(name: &'static str, form: Form) -> Field {
    may(name, form, "")
}

/// What an answer always has, be it as `null`.
pub(crate) const fn null(name: &'static str, form: Form) -> Field {
    Field {
        null: true,
        ..must(name, form, "")
    }
}

/// The schema of an object with these properties; closed to others when it is of a call.
pub(crate) fn schema(fields: &[Field], closed: bool) -> Map<String, Value> {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field, closed)))
        .collect();
    let needed: Vec<&str> = fields
        .iter()
        .filter(|field| field.needed)
        .map(|field| field.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    if !needed.is_empty() {
        schema.insert("required".to_owned(), json!(needed));
    }
    if closed {
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

fn property(field: &Field, closed: bool) -> Value {
    let mut of = match field.form {
        Form::Text => json!({ "type": "string" }),
        Form::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Form::Whole(from, to) if closed => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Form::Whole(..) => json!({ "type": "integer" }),
        Form::Number => json!({ "type": "number" }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Word(words) => json!({ "type": "string", "enum": words }),
        Form::Any => json!({}),
        Form::Object => json!({ "type": "object" }),
        // What stands inside is checked as well; saying so each time would only cost room.
        Form::Of(fields) => schema(fields, false).into(),
        Form::Many(fields) => json!({ "type": "array", "items": schema(fields, false) }),
    };
    if field.null
        && let Some(kind) = of.get_mut("type")
    {
        *kind = json!([kind.take(), "null"]);
    }
    if !field.about.is_empty() {
        of["description"] = json!(field.about);
    }
    of
}

/// Checks what a call says against what the tool takes. A `null` for what need not be said is as good as silence.
pub(crate) fn check(fields: &[Field], given: &mut Map<String, Value>) -> Result<(), Refusal> {
    let optional = |name: &str| fields.iter().any(|field| field.name == name && !field.needed);
    given.retain(|name, value| !(value.is_null() && optional(name)));
    if let Some(unknown) = given
        .keys()
        .find(|name| fields.iter().all(|field| field.name != *name))
    {
        let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let refusal = wrong(format!("there is no argument `{}`", unknown.escape_debug()));
        return Err(match nearest(unknown, known.iter().copied()) {
            Some(near) => refusal.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => refusal.help("this tool takes no arguments"),
            None => refusal.help(format!("known are {}", known.join(", "))),
        });
    }
    for field in fields {
        match given.get_mut(field.name) {
            Some(value) => fits(field.name, field.form, value)?,
            None if field.needed => {
                let refusal = wrong(format!("the argument `{}` is missing", field.name));
                return Err(refusal.help(format!("pass `{}`, {}", field.name, form(field.form))));
            }
            None => {}
        }
    }
    Ok(())
}

fn fits(name: &str, wanted: Form, value: &mut Value) -> Result<(), Refusal> {
    let ok = match (wanted, &mut *value) {
        (Form::Text, Value::String(text)) => return domain::task::spec::check_text(name, text),
        (Form::Texts, Value::Array(items)) => items.len() <= LIST_MAX && items.iter().all(Value::is_string),
        (Form::Whole(from, to), Value::Number(number)) => {
            let whole = number.as_i64().or_else(|| number.as_f64().and_then(exact));
            let whole = whole.filter(|whole| (from..=to).contains(whole));
            if let Some(whole) = whole {
                *value = json!(whole);
            }
            whole.is_some()
        }
        (Form::Number, Value::Number(_))
        | (Form::Flag, Value::Bool(_))
        | (Form::Object, Value::Object(_)) => true,
        (Form::Word(words), Value::String(word)) => words.contains(&word.as_str()),
        (Form::Any, _) => true,
        (Form::Of(fields), Value::Object(object)) => return check(fields, object),
        (Form::Many(fields), Value::Array(items)) if items.len() <= LIST_MAX => {
            for item in items {
                fits(name, Form::Of(fields), item)?;
            }
            true
        }
        _ => false,
    };
    if ok {
        return Ok(());
    }
    let mut shown = value.to_string();
    if shown.len() > 80 {
        shown = format!("{} …", shown.chars().take(80).collect::<String>());
    }
    Err(wrong(format!("`{name}` cannot be {shown}")).help(format!("pass {}", form(wanted))))
}

/// A float that is a whole number, as some clients write them.
fn exact(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn form(form: Form) -> String {
    match form {
        Form::Text => "a text".to_owned(),
        Form::Texts => format!("a list of at most {LIST_MAX} texts"),
        Form::Whole(from, to) => format!("a whole number from {from} to {to}"),
        Form::Number => "a number".to_owned(),
        Form::Flag => "true or false".to_owned(),
        Form::Word(words) => format!("one of {}", words.join(", ")),
        Form::Any => "any JSON".to_owned(),
        Form::Object | Form::Of(_) => "an object".to_owned(),
        Form::Many(_) => format!("a list of at most {LIST_MAX} objects"),
    }
}

fn wrong(detail: String) -> Refusal {
    Refusal::new(Code::InvalidArgument, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        must("task", Form::Text, "The task"),
        may("limit", Form::Whole(1, 9), ""),
        may("parts", Form::Many(&[must("name", Form::Text, "")]), ""),
    ];

    fn checked(given: Value) -> Result<Value, String> {
        let Value::Object(mut given) = given else {
            unreachable!()
        };
        check(FIELDS, &mut given)
            .map(|()| given.into())
            .map_err(|refusal| format!("{}; {}", refusal.detail, refusal.help.unwrap_or_default()))
    }

    #[test]
    fn what_fits_passes_and_null_is_silence() {
        let given = json!({ "task": "a", "limit": 3.0, "parts": null });
        assert_eq!(checked(given).unwrap(), json!({ "task": "a", "limit": 3 }));
    }

    #[test]
    fn every_no_says_what_to_pass() {
        for (given, expected) in [
            (json!({}), "the argument `task` is missing; pass `task`, a text"),
            (
                json!({ "tsk": "a" }),
                "there is no argument `tsk`; did you mean `task`?",
            ),
            (json!({ "task": 1 }), "`task` cannot be 1; pass a text"),
            (
                json!({ "task": "a", "limit": 10 }),
                "`limit` cannot be 10; pass a whole number from 1 to 9",
            ),
            (
                json!({ "task": "a", "limit": 1.5 }),
                "`limit` cannot be 1.5; pass a whole number from 1 to 9",
            ),
            (
                json!({ "task": "a", "parts": [{}] }),
                "the argument `name` is missing; pass `name`, a text",
            ),
        ] {
            assert_eq!(checked(given).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_schema_says_the_same() {
        assert_eq!(
            Value::from(schema(&FIELDS[..2], true)),
            json!({
                "type": "object",
                "properties": {
                    "task": { "type": "string", "description": "The task" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 9 },
                },
                "required": ["task"],
                "additionalProperties": false,
            })
        );
        let answer = [null("agent", Form::Text), some("more", Form::Whole(0, 1))];
        assert_eq!(
            Value::from(schema(&answer, false)),
            json!({
                "type": "object",
                "properties": { "agent": { "type": ["string", "null"] }, "more": { "type": "integer" } },
                "required": ["agent"],
            })
        );
    }
}
