//! Reads the text of a mapping: TOML, every key and word checked, each refusal with its line. `docs/mapping.md` is the
//! reference. Nothing is skipped: a key that means nothing here is a typing mistake there.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::custom::{self, line_at};
use super::department::{ORGANIZATION_FIRST, OrganizationFirst};
use super::employee::Field;
use super::mapping::{Custom, Mapping, MappingError, Required, Subject};
use super::source::{Part, Source, Sources, Transform};
use crate::scim::catalog::{Declaration, user_with};
use crate::scim::error::quote;
use crate::scim::schema::ResourceType;

/// The longest text of a mapping, in bytes: fifty times the longest shipped one.
const TEXT_MAX_BYTES: usize = 256 * 1024;

/// The most sources of a field and parts of a join: all of them are tried for a user who has none.
const SOURCES_MAX: usize = 32;

type Spot<'t> = Spanned<DeValue<'t>>;
type Read<T> = Result<T, MappingError>;

/// Reads and checks a mapping.
pub(super) fn read(name: &str, text: &str) -> Read<Mapping> {
    let reader = Reader { name, text };
    if text.len() > TEXT_MAX_BYTES {
        return Err(reader.error(0..0, format!("the mapping has {} bytes, more than {TEXT_MAX_BYTES}", text.len())));
    }
    let table =
        DeTable::parse(text).map_err(|error| reader.error(error.span().unwrap_or(0..0), error.message().trim().replace('\n', "; ")))?;
    reader.mapping(table.get_ref())
}

struct Reader<'t> {
    name: &'t str,
    text: &'t str,
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, detail: impl Into<String>) -> MappingError {
        MappingError { mapping: self.name.to_owned(), line: line_at(self.text, span.start), detail: detail.into() }
    }

    fn mapping(&self, table: &DeTable<'_>) -> Read<Mapping> {
        self.known_keys(table, "a mapping", &["description", "required", "spaceiq_custom", "fields", "department", "custom"])?;
        if let Some(description) = table.get("description") {
            self.text(description, "description")?;
        }
        let Some(fields) = table.get("fields") else {
            return Err(self.error(0..0, "a mapping needs the table [fields], and here is none"));
        };
        let department = table.get("department").map(|value| self.department(value)).transpose()?;
        let fields = self.fields(fields, department.is_some())?;
        let custom = self.custom(table)?;
        let user = self.declared(table, &custom)?;
        let mut mapping = Mapping { name: self.name.to_owned(), fields, department, custom, required: Vec::new(), user };
        mapping.bind();
        if let Some(required) = table.get("required") {
            mapping.required = self.required(required, &mapping)?;
        }
        Ok(mapping)
    }

    fn fields(&self, value: &Spot<'_>, department_rule: bool) -> Read<Vec<(Field, Sources)>> {
        let mut fields = Vec::new();
        for (key, value) in self.table(value, "fields")? {
            let name = key.get_ref().as_ref();
            let field = mappable(name, department_rule).map_err(|detail| self.error(key.span(), detail))?;
            fields.push((field, self.sources(value, name)?));
        }
        Ok(fields)
    }

    fn department(&self, value: &Spot<'_>) -> Read<OrganizationFirst> {
        let table = self.table(value, "department")?;
        self.known_keys(table, "[department]", &["rule", "organization", "division", "department"])?;
        let Some(rule) = table.get("rule") else {
            return Err(self.error(value.span(), format!("[department] needs rule, for example rule = \"{ORGANIZATION_FIRST}\"")));
        };
        let name = self.text(rule, "rule")?;
        if name != ORGANIZATION_FIRST {
            return Err(self.error(rule.span(), format!("{} is not a department rule; the rule is {ORGANIZATION_FIRST}", quote(name))));
        }
        let sources = |key: &str| table.get(key).map_or_else(|| Ok(Sources::default()), |value| self.sources(value, key));
        Ok(OrganizationFirst { organization: sources("organization")?, division: sources("division")?, department: sources("department")? })
    }

    fn custom(&self, table: &DeTable<'_>) -> Read<Vec<Custom>> {
        let mut declared = match table.get("spaceiq_custom") {
            None => Vec::new(),
            Some(value) => {
                let text = self.text(value, "spaceiq_custom")?;
                custom::from_spaceiq(text).map_err(|error| self.error(value.span(), error.detail))?
            }
        };
        if let Some(custom) = table.get("custom") {
            for (key, value) in self.table(custom, "custom")? {
                let name = key.get_ref().as_ref();
                let custom = Custom { name: name.to_owned(), sources: self.sources(value, &quote(name))? };
                custom::add(&mut declared, custom).map_err(|detail| self.error(key.span(), detail))?;
            }
        }
        Ok(declared)
    }

    /// User with an attribute for each custom field whose value the schemas have no place for.
    fn declared(&self, table: &DeTable<'_>, custom: &[Custom]) -> Read<&'static ResourceType> {
        let declarations = custom.iter().filter_map(|custom| {
            let aliases = custom.sources.aliases();
            (!aliases.is_empty()).then(|| Declaration { field: custom.name.clone(), aliases })
        });
        user_with(declarations.collect()).map_err(|(field, detail)| {
            let key = table.get("custom").and_then(|custom| custom.get_ref().as_table()?.keys().find(|key| *key.get_ref() == field));
            let place = key.map(Spanned::span).or_else(|| table.get("spaceiq_custom").map(Spanned::span));
            self.error(place.unwrap_or_default(), format!("the custom field {}: {detail}", quote(&field)))
        })
    }

    fn required(&self, value: &Spot<'_>, mapping: &Mapping) -> Read<Vec<Required>> {
        let items = self.array(value, "required takes a list of fields")?;
        let mut required = Vec::new();
        for item in items {
            required.push(match item.get_ref() {
                DeValue::Table(table) => {
                    self.known_keys(table, "a required field", &["field", "or"])?;
                    let (Some(field), Some(or)) = (table.get("field"), table.get("or")) else {
                        return Err(
                            self.error(item.span(), "a required field with an alternative is written { field = \"..\", or = [\"..\"] }")
                        );
                    };
                    let alternative = self.array(or, "or takes a list of fields")?;
                    let alternative = alternative.iter().map(|field| self.subject(field, mapping)).collect::<Read<_>>()?;
                    Required { subject: self.subject(field, mapping)?, alternative }
                }
                _ => Required { subject: self.subject(item, mapping)?, alternative: Vec::new() },
            });
        }
        Ok(required)
    }

    /// A field that can be required: one that something fills.
    fn subject(&self, value: &Spot<'_>, mapping: &Mapping) -> Read<Subject> {
        let name = self.text(value, "required")?;
        let Some(subject) = Subject::named(name) else {
            let known = format!("user_name, external_id, active, {}", field_names());
            return Err(self.error(value.span(), format!("{} is not an employee field; the fields are {known}", quote(name))));
        };
        let filled = match subject {
            Subject::Field(field) => is_filled(field, mapping),
            Subject::UserName | Subject::ExternalId | Subject::Active => true,
        };
        if !filled {
            return Err(self.error(value.span(), format!("{name} is required, but no source fills it")));
        }
        Ok(subject)
    }

    /// A source, a list of sources, or `{ from, transform }`.
    fn sources(&self, value: &Spot<'_>, field: &str) -> Read<Sources> {
        let DeValue::Table(table) = value.get_ref() else {
            return Ok(Sources { list: self.source_list(value, field)?, transforms: Vec::new() });
        };
        let Some(from) = table.get("from") else {
            return Ok(Sources { list: vec![self.source(value, field)?], transforms: Vec::new() });
        };
        self.known_keys(table, &format!("{field} with from"), &["from", "transform"])?;
        let transforms = match table.get("transform") {
            None => Vec::new(),
            Some(value) => one_or_list(value).map(|word| self.transform(word)).collect::<Read<_>>()?,
        };
        Ok(Sources { list: self.source_list(from, field)?, transforms })
    }

    fn source_list(&self, value: &Spot<'_>, field: &str) -> Read<Vec<Source>> {
        self.at_most(value, SOURCES_MAX, "sources", field)?;
        one_or_list(value).map(|source| self.source(source, field)).collect()
    }

    fn source(&self, value: &Spot<'_>, field: &str) -> Read<Source> {
        let DeValue::Table(table) = value.get_ref() else {
            return self.part(value, field).map(Source::Part);
        };
        if let Some(parts) = table.get("join") {
            self.known_keys(table, "a join", &["join", "with"])?;
            self.at_most(parts, SOURCES_MAX, "parts in a join", field)?;
            let parts = self.array(parts, "join takes a list of parts")?;
            let parts = parts.iter().map(|part| self.part(part, field)).collect::<Read<_>>()?;
            let with = table.get("with").map_or(Ok(" "), |with| self.text(with, "with"))?;
            return Ok(Source::Join { parts, with: with.to_owned() });
        }
        self.known_keys(table, &format!("a source of {field}"), &["literal", "join"])?;
        self.part(value, field).map(Source::Part)
    }

    fn part(&self, value: &Spot<'_>, field: &str) -> Read<Part> {
        match value.get_ref() {
            DeValue::String(text) => Part::parse(text).map_err(|detail| self.error(value.span(), detail)),
            DeValue::Table(table) => {
                self.known_keys(table, &format!("a part of {field}"), &["literal"])?;
                let Some(literal) = table.get("literal") else {
                    return Err(self.error(value.span(), format!("a source of {field} is empty")));
                };
                let text = self.text(literal, "literal")?;
                if text.trim().is_empty() {
                    return Err(self.error(literal.span(), format!("the literal {} is blank, and a blank text is no value", quote(text))));
                }
                Ok(Part::Literal(text.to_owned()))
            }
            other => Err(self.error(
                value.span(),
                format!("a source of {field} is a path in quotes, {{ literal = \"..\" }} or {{ join = [..] }}, not {}", type_name(other)),
            )),
        }
    }

    fn transform(&self, value: &Spot<'_>) -> Read<Transform> {
        let name = self.text(value, "transform")?;
        let known = Transform::NAMED.iter().find(|(known, _)| *known == name);
        known.map(|(_, transform)| *transform).ok_or_else(|| {
            let names: Vec<_> = Transform::NAMED.iter().map(|(name, _)| *name).collect();
            self.error(value.span(), format!("{} is not a transform; the transforms are {}", quote(name), names.join(", ")))
        })
    }

    fn known_keys(&self, table: &DeTable<'_>, place: &str, known: &[&str]) -> Read<()> {
        match table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let detail = format!("{} is not a key of {place}; it has {}", quote(key.get_ref()), known.join(", "));
                Err(self.error(key.span(), detail))
            }
        }
    }

    fn at_most(&self, value: &Spot<'_>, most: usize, what: &str, field: &str) -> Read<()> {
        match value.get_ref() {
            DeValue::Array(items) if items.len() > most => {
                Err(self.error(value.span(), format!("{field} has {} {what}, more than {most}", items.len())))
            }
            _ => Ok(()),
        }
    }

    fn array<'v, 't>(&self, value: &'v Spot<'t>, rule: &str) -> Read<&'v [Spot<'t>]> {
        match value.get_ref() {
            DeValue::Array(items) => Ok(items),
            other => Err(self.error(value.span(), format!("{rule}, not {}", type_name(other)))),
        }
    }

    fn table<'v, 't>(&self, value: &'v Spot<'t>, name: &str) -> Read<&'v DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => Err(self.error(value.span(), format!("{name} is a table, [{name}], not {}", type_name(other)))),
        }
    }

    fn text<'v>(&self, value: &'v Spot<'_>, key: &str) -> Read<&'v str> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            other => Err(self.error(value.span(), format!("{key} takes a text in quotes, not {}", type_name(other)))),
        }
    }
}

/// The field of this name if [fields] can fill it. The error is the sentence to show.
fn mappable(name: &str, department_rule: bool) -> Result<Field, String> {
    match Subject::named(name) {
        Some(Subject::Field(Field::DepartmentName | Field::TeamName)) if department_rule => {
            Err(format!("{name} is filled by the rule in [department]; only one of the two can fill it"))
        }
        Some(Subject::Field(field)) => Ok(field),
        Some(_) => Err(format!("{name} is always read from its own SCIM attribute, so [fields] does not have it")),
        None => Err(format!("{} is not an employee field; the fields are {}", quote(name), field_names())),
    }
}

fn is_filled(field: Field, mapping: &Mapping) -> bool {
    let by_rule = mapping.department.as_ref().is_some_and(|rule| {
        let above = !rule.organization.is_empty() || !rule.division.is_empty();
        let department = !rule.department.is_empty();
        match field {
            Field::DepartmentName => above || department,
            Field::TeamName => above && department,
            _ => false,
        }
    });
    by_rule || mapping.fields.iter().any(|(filled, sources)| *filled == field && !sources.is_empty())
}

fn one_or_list<'v, 't>(value: &'v Spot<'t>) -> std::slice::Iter<'v, Spot<'t>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter(),
        _ => std::slice::from_ref(value).iter(),
    }
}

fn field_names() -> String {
    Field::ALL.map(Field::name).join(", ")
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        read("acme", text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_mapping_is_refused_with_the_line_and_the_word() {
        let fields = Field::ALL.map(Field::name).join(", ");
        for (text, expected) in [
            ("", "line 1: a mapping needs the table [fields], and here is none".to_owned()),
            ("fields = 1", "line 1: fields is a table, [fields], not a number".into()),
            (
                "\nfeilds = 1",
                "line 2: \"feilds\" is not a key of a mapping; it has description, required, spaceiq_custom, fields, department, custom"
                    .into(),
            ),
            ("description = 1\n[fields]", "line 1: description takes a text in quotes, not a number".into()),
            ("[fields]\ntitel = \"title\"", format!("line 2: \"titel\" is not an employee field; the fields are {fields}")),
            (
                "[fields]\nactive = \"active\"",
                "line 2: active is always read from its own SCIM attribute, so [fields] does not have it".into(),
            ),
            (
                "[fields]\ntitle = \"titel\"",
                "line 2: \"titel\" is not an attribute of a SCIM User; one that is in no schema is written \"unmapped:\" and its name"
                    .into(),
            ),
            (
                "[fields]\ntitle = [\n  \"title\",\n  # else\n  \"emails.valu\",\n]",
                "line 5: \"valu\" is not a sub-attribute of emails; it has value, display, type, primary".into(),
            ),
            ("[fields]\ntitle = \"unmapped: \"", "line 2: \"unmapped:\" is followed by no name".into()),
            (
                "[fields]\ntitle = 5",
                "line 2: a source of title is a path in quotes, { literal = \"..\" } or { join = [..] }, not a number".into(),
            ),
            (
                "[fields]\ntitle = [[\"title\"]]",
                "line 2: a source of title is a path in quotes, { literal = \"..\" } or { join = [..] }, not a list".into(),
            ),
            ("[fields]\ntitle = { form = \"title\" }", "line 2: \"form\" is not a key of a source of title; it has literal, join".into()),
            ("[fields]\ntitle = {}", "line 2: a source of title is empty".into()),
            ("[fields]\ntitle = { literal = \" \" }", "line 2: the literal \" \" is blank, and a blank text is no value".into()),
            ("[fields]\ntitle = { join = \"title\" }", "line 2: join takes a list of parts, not a text".into()),
            ("[fields]\ntitle = { join = [\"title\"], by = \"\" }", "line 2: \"by\" is not a key of a join; it has join, with".into()),
            ("[fields]\ntitle = { join = [{ join = [] }] }", "line 2: \"join\" is not a key of a part of title; it has literal".into()),
            (
                "[fields]\ntitle = { from = \"title\", tranform = [] }",
                "line 2: \"tranform\" is not a key of title with from; it has from, transform".into(),
            ),
            (
                "[fields]\ntitle = { from = \"title\", transform = [\n\"trim\",\n\"reverse\"] }",
                "line 4: \"reverse\" is not a transform; the transforms are trim, strip_tel, lower, upper".into(),
            ),
            (
                "[fields]\nteam_name = \"title\"\n[department]\nrule = \"organization_first\"",
                "line 2: team_name is filled by the rule in [department]; only one of the two can fill it".into(),
            ),
            (
                "[fields]\n[department]\nteam = 1",
                "line 3: \"team\" is not a key of [department]; it has rule, organization, division, department".into(),
            ),
            ("[fields]\n[department]", "line 2: [department] needs rule, for example rule = \"organization_first\"".into()),
            (
                "[fields]\n[department]\nrule = \"division_first\"",
                "line 3: \"division_first\" is not a department rule; the rule is organization_first".into(),
            ),
            (
                "required = [\"emial\"]\n[fields]",
                format!("line 1: \"emial\" is not an employee field; the fields are user_name, external_id, active, {fields}"),
            ),
            ("required = [\"email\"]\n[fields]", "line 1: email is required, but no source fills it".into()),
            (
                "required = [\"team_name\"]\n[fields]\n[department]\nrule = \"organization_first\"\ndepartment = \"department\"",
                "line 1: team_name is required, but no source fills it".into(),
            ),
            ("required = \"email\"\n[fields]", "line 1: required takes a list of fields, not a text".into()),
            (
                "required = [{ field = \"name\" }]\n[fields]\nname = \"displayName\"",
                "line 1: a required field with an alternative is written { field = \"..\", or = [\"..\"] }".into(),
            ),
            (
                "[fields]\n[custom]\n\"\" = \"title\"",
                "line 3: \"\" is not a custom field's name: 1 to 64 characters, no white space around them, no control characters".into(),
            ),
            (
                "\nspaceiq_custom = '{\"a*.*badge\"}'\n[fields]\n[custom]\nbadge = \"unmapped:badge\"",
                "line 5: the custom field \"badge\" is declared twice".into(),
            ),
            ("\nspaceiq_custom = '{\"a\"}'\n[fields]", "line 2: \"a\" has no *.* between the SCIM name and the custom field's name".into()),
        ] {
            assert_eq!(refusal(text), format!("acme, {expected}"), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_the_line() {
        for text in ["[fields]\ntitle = ", "[fields]\ntitle = \"title\"\ntitle = \"title\"", "[fields]\ntitle = \"title"] {
            let error = read("acme", text).unwrap_err();
            assert!(error.line > 1 && !error.detail.is_empty() && !error.detail.contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn a_mapping_s_size_is_limited() {
        let many = format!("[fields]\ntitle = [{}]", "\"title\",".repeat(SOURCES_MAX + 1));
        assert_eq!(refusal(&many), "acme, line 2: title has 33 sources, more than 32");
        let long = format!("[fields]\n#{}", "x".repeat(TEXT_MAX_BYTES));
        assert_eq!(refusal(&long), "acme, line 1: the mapping has 262154 bytes, more than 262144");
        let deep = format!("[fields]\ntitle = {}", "[".repeat(TEXT_MAX_BYTES - 100));
        assert_eq!(read("acme", &deep).unwrap_err().line, 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_reading_panic(text: String, word in "[a-z\"\\[\\]. :=]{0,40}") {
            let _ = read("acme", &text);
            let _ = read("acme", &format!("[fields]\ntitle = '{word}'"));
        }
    }
}
