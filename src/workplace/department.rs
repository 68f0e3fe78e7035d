//! The department rule of SpaceIQ: "The department will be defined as a department in the case of neither organization nor
//! division being available, otherwise the department will be used as a team if the organization is present."
//! Computed from the whole resource, so removing the organization turns the team back into the department.

use std::borrow::Cow;

use super::mapping::Settings;
use super::source::{Input, Sources};

/// The rule's name in a mapping.
pub(super) const ORGANIZATION_FIRST: &str = "organization_first";

/// The rule `organization_first` with the sources it reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OrganizationFirst {
    pub(super) organization: Sources,
    pub(super) division: Sources,
    pub(super) department: Sources,
}

impl OrganizationFirst {
    /// The department's name and the team's name.
    ///
    /// The vendor's sentence leaves open what a division without an organization is: the department, unless the tenant
    /// says otherwise.
    pub(super) fn apply(&self, input: Input<'_>, settings: &Settings) -> (Option<String>, Option<String>) {
        let department = self.department.first(input).map(Cow::into_owned);
        let mut above = self.organization.first(input);
        if above.is_none() && settings.division_is_department {
            above = self.division.first(input);
        }
        match above {
            Some(above) => (Some(above.into_owned()), department),
            None => (department, None),
        }
    }
}
