//! The mappings that come with the program. A tenant's profile is the name of one of them; the files are embedded, so a
//! running server and its documentation cannot disagree.

use std::sync::LazyLock;

use super::mapping::Mapping;

/// The names of the shipped profiles and their texts.
pub const SHIPPED: [(&str, &str); 2] = [
    ("spaceiq", include_str!("../../config/profiles/spaceiq.toml")),
    ("officespace", include_str!("../../config/profiles/officespace.toml")),
];

static PARSED: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    let parse = |(name, text)| Mapping::parse(name, text).expect("a test parses every shipped profile");
    SHIPPED.into_iter().map(parse).collect()
});

/// The shipped profile of this name.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static Mapping> {
    PARSED.iter().find(|mapping| mapping.name() == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::workplace::{Employee, Settings};

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn employee_with(profile: &str, document: &Value, unmapped: &Value, settings: Settings) -> Employee {
        let mapping = shipped(profile).unwrap();
        mapping.employee(document.as_object().unwrap(), unmapped.as_object().unwrap(), &settings)
    }

    fn employee(document: Value, unmapped: Value) -> Employee {
        employee_with("spaceiq", &document, &unmapped, Settings::default())
    }

    #[test]
    fn every_shipped_profile_loads() {
        for (name, text) in SHIPPED {
            assert_eq!(Mapping::parse(name, text).map(|_| ()), Ok(()));
            assert_eq!(shipped(name).unwrap().name(), name);
        }
        assert!(shipped("eptura").is_none());
    }

    #[test]
    fn the_jumpcloud_connector_s_user_is_the_same_employee_with_both_placements() {
        let document = json!({
            "userName": "jsnow", "externalId": "E-1001", "active": true, "title": "Sr. Director", "userType": "Full time",
            "name": {"givenName": "Jon", "familyName": "Snow", "formatted": "Jon Snow"},
            "emails": [{"value": "jon.snow@example.com", "type": "work", "primary": true}],
            "phoneNumbers": [{"value": "555-555-5555", "type": "work"}], "addresses": [{"locality": "Mountain View", "type": "work"}],
        });
        let at_top =
            employee(document.clone(), json!({"costcenter": "CC-12", "department": "Digital Marketing", "organization": "Marketing"}));
        let mut extended = document;
        extended[ENTERPRISE] = json!({"costCenter": "CC-12", "department": "Digital Marketing", "organization": "Marketing"});
        assert_eq!(at_top, employee(extended, json!({})));
        let expected = Employee {
            first_name: Some("Jon".into()),
            last_name: Some("Snow".into()),
            name: Some("Jon Snow".into()),
            title: Some("Sr. Director".into()),
            email: Some("jon.snow@example.com".into()),
            phone: Some("555-555-5555".into()),
            location: Some("Mountain View".into()),
            cost_center: Some("CC-12".into()),
            employment_type: Some("Full time".into()),
            department_name: Some("Marketing".into()),
            team_name: Some("Digital Marketing".into()),
            ..Employee::default()
        };
        assert_eq!(at_top, expected);
        assert!(at_top.complete());
    }

    #[test]
    fn the_activation_test_user_is_stored_as_an_incomplete_employee() {
        let created = json!({
            "userName": "testuser@example.io", "externalId": "66e2d689590450d073d2df3b", "active": true, "displayName": "displayname",
            "name": {"givenName": "firstname", "familyName": "lastname"},
            "emails": [{"primary": true, "type": "work", "value": "testuser@example.io"}],
            "phoneNumbers": [{"primary": true, "type": "work", "value": "tel:+1-555-555-5555"}],
            "addresses": [{"primary": true, "type": "work", "locality": "locality", "country": "US"}],
        });
        let employee = employee(created, json!({}));
        assert_eq!(employee.name.as_deref(), Some("firstname lastname"));
        assert_eq!(employee.phone.as_deref(), Some("+1-555-555-5555"));
        assert_eq!(employee.missing, ["department_name"]);
    }

    /// What is in the document, what is in no schema, the employee's field and its value.
    fn attribute_rows() -> Vec<(Value, Value, &'static str, Value)> {
        let none = || json!({});
        vec![
            (json!({"title": "Chef"}), json!({"jobTitle": "Cook"}), "title", json!("Chef")),
            (none(), json!({"jobtitle": "Cook"}), "title", json!("Cook")),
            (none(), json!({"job Title": "Cook"}), "title", json!("Cook")),
            (none(), json!({ENTERPRISE: {"jobTitle": "Cook"}}), "title", json!("Cook")),
            (json!({"title": "  "}), none(), "title", Value::Null),
            (
                json!({"emails": [{"value": "a"}, {"value": "b", "type": "work"}, {"value": "c", "primary": true}]}),
                none(),
                "email",
                json!("c"),
            ),
            (json!({"emails": [{"value": "a"}, {"value": "b", "type": "Work"}]}), none(), "email", json!("b")),
            (json!({"emails": [{"value": "a"}, {"value": "b", "primary": false}]}), none(), "email", json!("a")),
            (json!({"emails": [{"value": "", "primary": true}, {"value": "b", "type": "home"}]}), none(), "email", json!("b")),
            (json!({"name": {"givenName": " Jon "}}), none(), "first_name", json!("Jon")),
            (json!({"name": {"familyName": "Snow"}}), none(), "last_name", json!("Snow")),
            (json!({"name": {"formatted": "J. S.", "givenName": "Jon"}, "displayName": "d"}), none(), "name", json!("J. S.")),
            (
                json!({"name": {"formatted": "", "givenName": "Jon", "familyName": "Snow"}, "displayName": "d"}),
                none(),
                "name",
                json!("Jon Snow"),
            ),
            (json!({"name": {"familyName": "Snow"}, "displayName": "d"}), none(), "name", json!("Snow")),
            (json!({"name": {"middleName": "x"}, "displayName": "d"}), none(), "name", json!("d")),
            (none(), none(), "name", Value::Null),
            (json!({"phoneNumbers": [{"value": "1", "primary": true}, {"value": "tel:+2", "type": "work"}]}), none(), "phone", json!("+2")),
            (json!({"phoneNumbers": [{"value": "1", "type": "home"}, {"value": "TEL: 2", "primary": true}]}), none(), "phone", json!("2")),
            (json!({"phoneNumbers": [{"value": "tel:1", "type": "mobile"}, {"value": "2"}]}), none(), "phone", json!("1")),
            (json!({"phoneNumbers": [{"value": "tel:", "type": "work"}, {"value": "2", "primary": true}]}), none(), "phone", json!("2")),
            (json!({"addresses": [{"locality": "A", "primary": true}, {"locality": "B", "type": "work"}]}), none(), "location", json!("B")),
            (
                json!({"addresses": [{"country": "US", "type": "work"}, {"locality": "A"}, {"locality": "B", "primary": true}]}),
                none(),
                "location",
                json!("B"),
            ),
            (
                json!({"addresses": [{"country": "US", "type": "work"}, {"locality": " "}, {"locality": "C"}]}),
                none(),
                "location",
                json!("C"),
            ),
            (json!({ENTERPRISE: {"costCenter": "1"}}), json!({"costcenter": "2"}), "cost_center", json!("1")),
            (json!({ENTERPRISE: {"costCenter": " "}}), json!({"costcenter": "2"}), "cost_center", json!("2")),
            (none(), json!({"COSTCENTER": "2"}), "cost_center", json!("2")),
            (none(), json!({"costCenter": 4711}), "cost_center", json!("4711")),
            (none(), json!({"costcenter": true}), "cost_center", json!("true")),
            (json!({"userType": "Contractor"}), none(), "employment_type", json!("Contractor")),
            (none(), json!({"employeeType": "Contractor"}), "employment_type", json!("Contractor")),
            (json!({ENTERPRISE: {"manager": {"value": "m1", "displayName": "Boss"}}}), none(), "manager_id", json!("m1")),
            (none(), json!({"manager": "m1"}), "manager_id", json!("m1")),
            (none(), json!({"Manager": ["m1"]}), "manager_id", json!("m1")),
            (none(), json!({"manager": {"value": "m1"}}), "manager_id", json!("m1")),
            (none(), json!({ENTERPRISE: {"manager": [{"value": "m1"}]}}), "manager_id", json!("m1")),
            (none(), json!({ENTERPRISE: {"manager": "m1"}}), "manager_id", json!("m1")),
        ]
    }

    #[test]
    fn every_row_of_the_attribute_table_holds() {
        for (document, unmapped, field, expected) in attribute_rows() {
            let context = format!("{document} {unmapped} {field}");
            let employee = serde_json::to_value(employee(document, unmapped)).unwrap();
            assert_eq!(employee[field], expected, "{context}");
        }
    }

    type DepartmentCase =
        (Option<&'static str>, Option<&'static str>, Option<&'static str>, [Option<&'static str>; 2], [Option<&'static str>; 2]);

    /// Organization, division, department; then department and team with division_is_department, and without.
    const DEPARTMENT_CASES: [DepartmentCase; 8] = {
        let (o, v, d) = (Some("O"), Some("V"), Some("D"));
        [
            (None, None, d, [d, None], [d, None]),
            (o, None, d, [o, d], [o, d]),
            (o, v, d, [o, d], [o, d]),
            (None, v, d, [v, d], [d, None]),
            (o, None, None, [o, None], [o, None]),
            (None, v, None, [v, None], [None, None]),
            (o, v, None, [o, None], [o, None]),
            (None, None, None, [None, None], [None, None]),
        ]
    };

    #[test]
    fn the_eight_department_cases_hold_in_both_placements_and_blank_is_absent() {
        for (organization, division, department, by_default, without_division) in DEPARTMENT_CASES {
            for absent in [None, Some(Value::Null), Some(json!("")), Some(json!(" \t\u{a0}"))] {
                let attributes = |spelling: fn(&str) -> String| -> Map<String, Value> {
                    [("organization", organization), ("division", division), ("department", department)]
                        .into_iter()
                        .filter_map(|(key, value)| Some((spelling(key), value.map_or_else(|| absent.clone(), |value| Some(json!(value)))?)))
                        .collect()
                };
                let capital = |key: &str| key[..1].to_uppercase() + &key[1..];
                for (document, unmapped) in [
                    (json!({ ENTERPRISE: attributes(str::to_owned) }), json!({})),
                    (json!({}), Value::Object(attributes(str::to_owned))),
                    (json!({}), Value::Object(attributes(str::to_uppercase))),
                    (json!({}), Value::Object(attributes(capital))),
                    (json!({}), json!({ ENTERPRISE: attributes(str::to_uppercase) })),
                    (json!({ENTERPRISE: {"organization": " ", "division": "", "department": ""}}), Value::Object(attributes(capital))),
                ] {
                    for (division_is_department, [department_name, team_name]) in [(true, by_default), (false, without_division)] {
                        let employee = employee_with("spaceiq", &document, &unmapped, Settings { division_is_department });
                        let context = format!("{document} {unmapped} {division_is_department}");
                        assert_eq!(employee.department_name.as_deref(), department_name, "{context}");
                        assert_eq!(employee.team_name.as_deref(), team_name, "{context}");
                        assert_eq!(employee.missing.contains(&"department_name".to_owned()), department_name.is_none(), "{context}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_enterprise_extension_wins_over_top_level_attribute_by_attribute() {
        let employee = employee(
            json!({ENTERPRISE: {"department": "D1"}}),
            json!({"Department": "D2", "ORGANIZATION": "O2", ENTERPRISE: {"organization": "O3"}}),
        );
        assert_eq!((employee.department_name.as_deref(), employee.team_name.as_deref()), (Some("O2"), Some("D1")));
    }

    #[test]
    fn removing_the_organization_turns_the_team_back_into_the_department() {
        let before = employee(json!({ENTERPRISE: {"organization": "O", "department": "D"}}), json!({}));
        let after = employee(json!({ENTERPRISE: {"department": "D"}}), json!({}));
        assert_eq!(before.changed_fields(&after), ["department_name", "team_name"]);
        assert_eq!((after.department_name.as_deref(), after.team_name), (Some("D"), None));
    }

    #[test]
    fn an_incomplete_employee_says_what_is_missing() {
        let full = json!({
            "userName": "u", "name": {"formatted": "n"}, "emails": [{"value": "e"}], "addresses": [{"locality": "l"}],
            ENTERPRISE: {"department": "d"},
        });
        assert!(employee(full.clone(), json!({})).complete(), "neither externalId nor active, a title or a phone is needed");
        for (key, missing) in
            [("userName", "user_name"), ("name", "name"), ("emails", "email"), ("addresses", "location"), (ENTERPRISE, "department_name")]
        {
            let mut document = full.clone();
            document.as_object_mut().unwrap().remove(key);
            assert_eq!(employee(document, json!({})).missing, [missing]);
        }
        assert_eq!(employee(json!({}), json!({})).missing, ["user_name", "name", "email", "location", "department_name"]);
        let mut both_parts = full;
        both_parts["name"] = json!({"givenName": "a", "familyName": "b"});
        assert!(employee(both_parts, json!({})).complete());
    }

    #[test]
    fn officespace_has_a_photo_an_employee_id_and_no_team() {
        let document = json!({
            "userName": "u", "displayName": "Jon S.", "externalId": "E-1", "name": {"givenName": "Jon", "familyName": "Snow", "formatted": "Jon Snow"},
            "photos": [{"value": "https://example.com/t", "type": "thumbnail"}, {"value": "https://example.com/p", "type": "photo"}],
            ENTERPRISE: {"organization": "O", "division": "V", "department": "D", "employeeNumber": "701984"},
        });
        let employee = employee_with("officespace", &document, &json!({"udf_1": "not declared"}), Settings::default());
        assert_eq!((employee.department_name.as_deref(), employee.team_name.as_deref()), (Some("D"), None));
        assert_eq!(employee.name.as_deref(), Some("Jon S."));
        assert_eq!(Value::Object(employee.custom), json!({"employee_id": "701984", "photo": "https://example.com/p"}));
        assert_eq!(employee.missing, ["email"]);
    }

    const KEYS: [&str; 17] = [
        "userName",
        "name",
        "givenName",
        "formatted",
        "emails",
        "phoneNumbers",
        "addresses",
        "locality",
        "value",
        "type",
        "primary",
        "manager",
        "Department",
        "costcenter",
        "organization",
        "active",
        ENTERPRISE,
    ];

    /// JSON of any shape under keys that a mapping reads.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop_oneof![Just(String::new()), Just("tel:".into()), Just("work".into()), Just("té".into()), any::<String>()]
                .prop_map(Value::from),
        ];
        let key = prop_oneof![4 => prop::sample::select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>()];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = Map<String, Value>> {
        any_json().prop_map(|value| match value {
            Value::Object(object) => object,
            other => [("emails".to_owned(), other.clone()), ("manager".to_owned(), other)].into_iter().collect(),
        })
    }

    proptest! {
        #[test]
        fn any_json_at_all_becomes_an_employee_without_blank_fields(document in any_object(), unmapped in any_object(), division_is_department: bool) {
            for (name, _) in SHIPPED {
                let employee = shipped(name).unwrap().employee(&document, &unmapped, &Settings { division_is_department });
                for value in serde_json::to_value(&employee).unwrap().as_object().unwrap().values().filter_map(Value::as_str) {
                    prop_assert!(!value.is_empty() && value.trim() == value, "{value:?}");
                }
            }
        }
    }
}
