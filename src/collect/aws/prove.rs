//! Proves whose credentials a source holds and what they may, for one paid request.

use jiff::{Timestamp, ToSpan};

use crate::collect::aws::client::{Candidate, Session};
use crate::collect::aws::price_list::{self, PRICES};
use crate::collect::aws::request::{OPERATION, price};
use crate::collect::aws::{AwsSource, IDENTITY, Reserving};
use crate::collect::proof::Proof;
use crate::domain::money::{Currency, Money};
use crate::domain::period::{BillingZone, Window};
use crate::domain::ports::Meter;
use crate::domain::report::{SourceError, SourceErrorKind};

const ASSUME: &str = "sts:AssumeRole";
const COSTS: &str = "ce:GetCostAndUsage";
const LIST: &str = "pricing:GetProducts";

/// What an identity needs. `sts:GetCallerIdentity` needs no permission.
pub(super) const PERMISSIONS: &[&str] = &[ASSUME, COSTS, LIST];

/// The least policy, in one line.
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ce:GetCostAndUsage","pricing:GetProducts"],"Resource":"*"}]}"#;

/// A machine that every partition lists.
const LISTED: &str = "p4d.24xlarge";

impl AwsSource {
    pub(super) async fn prove_all(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof> {
        let meter = Reserving { meter, source: self, now };
        let mut proofs = Vec::new();
        let session = match self.identified(now, &meter, &mut proofs).await {
            Ok(session) => session,
            Err(proof) => {
                proofs.push(proof);
                proofs.push(Proof::unproved(COSTS));
                if self.descriptor.list_prices {
                    proofs.push(Proof::unproved(LIST));
                }
                return proofs;
            }
        };
        let who = format!("`{}`", session.arn);
        let mend = mend(&session.arn);
        let answer = self.ask_costs(&session, now, &meter).await;
        let is_disabled = |error: &SourceError| error.message.contains("not enabled for cost");
        proofs.push(match answer {
            // The identity is allowed, the account is not.
            Err(error) if is_disabled(&error) => Proof::fails(error.to_string()),
            answer => Proof::of(COSTS, &who, answer, &mend),
        });
        if self.descriptor.list_prices {
            let answer = self.ask_prices(&session, now, &meter).await;
            let mend = format!("{mend}, or set `list_prices: false`");
            proofs.push(Proof::of(LIST, &who, answer, &mend));
        }
        proofs
    }

    async fn identified(
        &self,
        now: Timestamp,
        meter: &Reserving<'_>,
        proofs: &mut Vec<Proof>,
    ) -> Result<Session, Proof> {
        let role = self.settings.credentials.assume_role.as_ref();
        let candidate = Candidate::find(&self.settings).await.map_err(|error| match role {
            Some(role) if error.kind == SourceErrorKind::Forbidden => {
                let name = role.role_arn.rsplit('/').next().unwrap_or_default();
                let mend = format!(
                    "let the identity have `{ASSUME}` on `{}` and the role trust it, with the \
                     external id where one is agreed: `aws iam update-assume-role-policy \
                     --role-name {name} --policy-document file://trust.json` \
                     (docs/sources/aws.md#permissions has one)",
                    role.role_arn
                );
                Proof::of(ASSUME, "the identity", Err(error), &mend)
            }
            _ => unknown(&error),
        })?;
        if let Some(role) = role {
            proofs.push(Proof::holds(format!("may `{ASSUME}` `{}`", role.role_arn)));
        }
        let free = Money::zero(Currency::USD);
        meter.reserve(IDENTITY, free).await.map_err(|error| unknown(&error))?;
        let session = candidate.identify(now).await.map_err(|error| unknown(&error))?;
        proofs.push(Proof::holds(format!(
            "identity `{}` of account `{}`",
            session.arn, self.settings.account
        )));
        Ok(session)
    }

    /// Yesterday's total: one page.
    async fn ask_costs(
        &self,
        session: &Session,
        now: Timestamp,
        meter: &Reserving<'_>,
    ) -> Result<(), SourceError> {
        let today = BillingZone::Utc.day_of(now);
        let yesterday = Window::new(today.saturating_sub(1.day()), today);
        let total = self.queries.iter().find(|query| query.control);
        let total = total.ok_or_else(|| {
            SourceError::new(SourceErrorKind::Config, "there is no control total to ask for")
        })?;
        meter.reserve(OPERATION, price()).await?;
        session.page(total, &yesterday, None).await.map(drop)
    }

    async fn ask_prices(
        &self,
        session: &Session,
        now: Timestamp,
        meter: &Reserving<'_>,
    ) -> Result<(), SourceError> {
        let region = &self.settings.region;
        let wanted = price_list::Wanted { instance_type: LISTED, region, now };
        meter.reserve(PRICES, Money::zero(Currency::USD)).await?;
        session.products(&wanted.filters(), None).await.map(drop)
    }
}

fn unknown(error: &SourceError) -> Proof {
    Proof::fails(format!("no identity: {error}"))
}

/// The command that gives an identity the least policy.
fn mend(arn: &str) -> String {
    // What IAM takes in a name, and no shell reads as anything else.
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c))
    };
    let resource: Vec<&str> = arn.rsplit(':').next().unwrap_or_default().split('/').collect();
    let (kind, name) = match resource.as_slice() {
        ["assumed-role", role, _] if role.starts_with("AWSReservedSSO_") => {
            return format!("add this to the permission set in IAM Identity Center: `{POLICY}`");
        }
        ["assumed-role", role, _] => ("role", *role),
        ["user", .., user] => ("user", *user),
        _ => ("", ""),
    };
    if !is_name(name) {
        return format!("give it this policy: `{POLICY}`");
    }
    format!(
        "run `aws iam put-{kind}-policy --{kind}-name {name} --policy-name costband \
         --policy-document '{POLICY}'`, which replaces an inline policy of that name"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_what_kind_of_identity_it_is() {
        let begins = |arn: &str, begin: &str| {
            let told = mend(arn);
            assert!(told.starts_with(begin), "{arn}: {told}");
            assert!(told.contains("ce:GetCostAndUsage"), "{told}");
        };
        begins(
            "arn:aws:sts::111122223333:assumed-role/costband/session",
            "run `aws iam put-role-policy --role-name costband --policy-name costband ",
        );
        begins(
            "arn:aws:iam::111122223333:user/finops/costband",
            "run `aws iam put-user-policy --user-name costband ",
        );
        begins(
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Billing_1a2b/me",
            "add this to the permission set",
        );
        begins("arn:aws:iam::111122223333:root", "give it this policy");
        begins("arn:aws:iam::111122223333:user/a;b", "give it this policy");
    }

    #[test]
    fn the_policy_of_the_command_is_the_least() {
        for permission in [COSTS, LIST] {
            assert!(POLICY.contains(permission));
        }
        assert_eq!(POLICY.matches(':').count(), 7, "two actions and five keys");
    }
}
