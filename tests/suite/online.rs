//! `costband check --online`: the real binary over simulated clouds, with every permission and
//! without each of them.

use std::path::Path;
use std::sync::Arc;

use costband::collect::SOURCES;
use costband::domain::identity::Provider;
use costband::runtime::clock::SystemClock;
use costband::simulate::aws::AwsOptions;
use costband::simulate::azure::AzureOptions;
use costband::simulate::faults::Fault;
use costband::simulate::gcp::{Export, GcpOptions};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contract::harness::{Clouds, Options, WrittenWorld, around, fleet};
use crate::contract::program::output;

/// What a check told, and how it ended.
struct Told {
    text: String,
    code: Option<i32>,
}

impl Told {
    /// The line with these words.
    fn line(&self, words: &str) -> &str {
        let found = self.text.lines().find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no line with `{words}`:\n{}", self.text))
    }

    /// Holds that every permission is told to hold but one, whose line has some words, and that
    /// nothing of what was configured as a secret is told.
    fn fails_alone(&self, permission: &str, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.text);
        let failed: Vec<&str> = self.text.lines().filter(|line| line.contains("FAILED")).collect();
        let line = failed.first().unwrap_or_else(|| panic!("nothing failed:\n{}", self.text));
        for word in [permission].iter().chain(words) {
            assert!(line.contains(word), "no `{word}` in:\n{line}");
        }
        for other in &failed[1..] {
            assert!(other.contains("is not proved: mend what stands above first"), "{other}");
        }
        self.tells_no_secret();
    }

    fn tells_no_secret(&self) {
        let azure = AzureOptions::default().client_secret;
        for secret in ["a-secret-access-key", azure.as_str(), "eyJ"] {
            assert!(!self.text.contains(secret), "`{secret}` is told:\n{}", self.text);
        }
    }
}

async fn clouds(options: Options) -> Clouds {
    let world = WrittenWorld::new(Arc::new(SystemClock), fleet(around(Timestamp::now()), 1));
    Clouds::start(world, options).await
}

/// Checks one provider; its entry may be changed.
async fn check_with(clouds: &Clouds, provider: Provider, change: impl Fn(&mut Value)) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = clouds.configuration(&[provider], folder.path(), json!([]));
    change(&mut configuration["sources"][provider.as_str()][0]);
    run(&configuration, folder.path()).await
}

async fn run(configuration: &Value, folder: &Path) -> Told {
    let path = folder.join("costband.yaml");
    std::fs::write(&path, configuration.to_string()).unwrap();
    let folder = folder.to_owned();
    let check = move || output(&["check", "-c", path.to_str().unwrap(), "--online"], &folder);
    let done = tokio::task::spawn_blocking(check).await.unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    Told { text, code: done.status.code() }
}

async fn check(clouds: &Clouds, provider: Provider) -> Told {
    let url = clouds.of(provider).url.clone();
    check_with(clouds, provider, |entry| match provider {
        Provider::Aws => entry["endpoints"]["price_list"] = json!(url),
        Provider::Gcp => {}
        Provider::Azure => entry["endpoints"]["retail_prices"] = json!(url),
    })
    .await
}

fn aws(change: impl FnOnce(&mut AwsOptions)) -> Options {
    let mut options = Options::default();
    change(&mut options.aws);
    options
}

fn gcp(change: impl FnOnce(&mut GcpOptions)) -> Options {
    let mut options = Options::default();
    change(&mut options.gcp);
    options
}

fn azure(denied: &'static str) -> Options {
    let mut options = Options::default();
    options.azure.denied = vec![denied];
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_may_everything_is_proved_for_one_cent() {
    let clouds = clouds(Options::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut configuration = clouds.configuration(&Provider::ALL, folder.path(), json!([]));
    for (provider, key) in [(Provider::Aws, "price_list"), (Provider::Azure, "retail_prices")] {
        let url = &clouds.of(provider).url;
        configuration["sources"][provider.as_str()][0]["endpoints"][key] = json!(url);
    }
    let told = run(&configuration, folder.path()).await;
    assert_eq!(told.code, Some(0), "{}", told.text);
    for line in [
        "`aws-main` is asked `GetCostAndUsage` for 0.01 USD, outside of `monthly_cap`",
        "ok      AWS source `aws-main`: identity `arn:aws:iam::111122223333:user/costband` of \
         account `111122223333`",
        "ok      AWS source `aws-main`: may `ce:GetCostAndUsage`",
        "ok      AWS source `aws-main`: may `pricing:GetProducts`",
        "ok      Google Cloud source `gcp-main`: identity nobody (`credentials.anonymous`)",
        "may `serviceusage.services.use` in `billing-admin`",
        "may `bigquery.tables.get` `billing-admin.billing_export.gcp_billing_export_v1_",
        "may `bigquery.jobs.create`",
        "may `bigquery.tables.getData`",
        "may `billing.accounts.get`",
        "may read list prices (`cloudbilling.googleapis.com`)",
        "ok      Azure source `azure-main`: identity application ",
        "may `Microsoft.CostManagement/query/action`",
        "may `Microsoft.Consumption/budgets/read`",
        "may read list prices, which need no permission",
    ] {
        told.line(line);
    }
    let price = told.text.find("outside of `monthly_cap`").unwrap();
    assert!(price < told.text.find("identity `arn").unwrap(), "{}", told.text);
    told.tells_no_secret();
    // One cent, no billed byte, one query; and no ledger.
    let Options { aws, gcp, azure } = &clouds.options;
    assert_eq!((aws.requests.paid(), aws.requests.of("GetCostAndUsage")), (1, 1));
    assert_eq!(gcp.requests.bytes_billed(), 0);
    assert_eq!(azure.requests.count("Query"), 1);
    assert!(!folder.path().join("costband.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_permission_that_is_missing_in_aws_has_its_line_and_command() {
    let denied = clouds(aws(|aws| aws.costs_denied = true)).await;
    check(&denied, Provider::Aws).await.fails_alone(
        "`arn:aws:iam::111122223333:user/costband` may not `ce:GetCostAndUsage`: GetCostAndUsage \
         was answered with HTTP 400 and `AccessDeniedException`",
        &[
            "run `aws iam put-user-policy --user-name costband --policy-name costband ",
            "which replaces an inline policy of that name",
        ],
    );
    let denied = clouds(aws(|aws| aws.prices_denied = true)).await;
    check(&denied, Provider::Aws).await.fails_alone(
        "may not `pricing:GetProducts`",
        &["run `aws iam put-user-policy ", "or set `list_prices: false`"],
    );
    // Without list prices their permission is not asked for.
    let told = check_with(&denied, Provider::Aws, |entry| {
        entry["list_prices"] = json!(false);
    })
    .await;
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(!told.text.contains("pricing:"), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_aws_is_told_as_what_it_is_and_so_is_one_that_is_not_assumed() {
    let role = "arn:aws:iam::111122223333:role/billing/costband";
    let assume = |entry: &mut Value| {
        entry["credentials"]["assume_role"] = json!({"role_arn": role, "external_id": "agreed"});
    };
    let trusted = clouds(aws(|aws| aws.external_id = Some("agreed".to_owned()))).await;
    let told = check_with(&trusted, Provider::Aws, assume).await;
    assert_eq!(told.code, Some(0), "{}", told.text);
    told.line("may `sts:AssumeRole` `arn:aws:iam::111122223333:role/billing/costband`");
    told.line("identity `arn:aws:sts::111122223333:assumed-role/");
    let other = clouds(aws(|aws| aws.external_id = Some("another".to_owned()))).await;
    let told = check_with(&other, Provider::Aws, assume).await;
    told.fails_alone(
        "may not `sts:AssumeRole`",
        &[role, "`aws iam update-assume-role-policy --role-name costband "],
    );
    assert_eq!(other.options.aws.requests.paid(), 0, "without an identity nothing is paid");
    let denied = clouds(aws(|aws| aws.costs_denied = true)).await;
    let told = check_with(&denied, Provider::Aws, assume).await;
    told.fails_alone(
        "may not `ce:GetCostAndUsage`",
        &["run `aws iam put-role-policy --role-name "],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_credentials_of_aws_is_told_apart() {
    for (fault, words) in [
        (Fault::Unauthorized, "the temporary credentials have expired"),
        (Fault::SkewedClock, "check this machine's clock"),
        (Fault::RateLimited { retry_after: std::time::Duration::from_secs(1) }, "is not proved"),
    ] {
        let clouds = clouds(Options::default()).await;
        clouds.aws.faults.order(fault, 1);
        let told = check(&clouds, Provider::Aws).await;
        told.fails_alone("`ce:GetCostAndUsage` is not proved", &[words]);
    }
    let known = ("AKIAIOSFODNN7EXAMPLE".to_owned(), "another-key".to_owned());
    let clouds = clouds(aws(|aws| aws.credentials = Some(known))).await;
    let told = check(&clouds, Provider::Aws).await;
    told.fails_alone("no identity: ", &["the signature was made with another one"]);
    let told = check_with(&clouds, Provider::Aws, |entry| {
        entry["account"] = json!("999988887777");
        entry["credentials"]["static"]["secret_access_key"] = json!({"file": "/nowhere/key"});
    })
    .await;
    told.fails_alone("no identity: ", &["/nowhere/key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_permission_that_is_missing_in_google_cloud_has_its_line_and_command() {
    for (permission, command) in [
        (
            "serviceusage.services.use",
            "run `gcloud projects add-iam-policy-binding billing-admin \
             --role=roles/serviceusage.serviceUsageConsumer --member=",
        ),
        (
            "bigquery.jobs.create",
            "run `gcloud projects add-iam-policy-binding billing-admin \
             --role=roles/bigquery.jobUser --member=",
        ),
        (
            "bigquery.tables.get",
            "GRANT `roles/bigquery.dataViewer` ON SCHEMA `billing-admin.billing_export` TO",
        ),
        (
            "bigquery.tables.getData",
            "GRANT `roles/bigquery.dataViewer` ON SCHEMA `billing-admin.billing_export` TO",
        ),
    ] {
        let clouds = clouds(gcp(|gcp| gcp.denied = vec![permission])).await;
        let told = check(&clouds, Provider::Gcp).await;
        told.fails_alone(&format!(" may not `{permission}`: "), &[command]);
        assert_eq!(clouds.options.gcp.requests.bytes_billed(), 0);
    }
    // The account's name is for people: a poll does without.
    let clouds = clouds(gcp(|gcp| gcp.denied = vec!["billing.accounts.get"])).await;
    let told = check(&clouds, Provider::Gcp).await;
    assert_eq!(told.code, Some(0), "{}", told.text);
    let line = told.line("may not `billing.accounts.get`");
    assert!(line.contains("  note") && line.contains("--role=roles/billing.viewer"), "{line}");
}

/// What servers do to a request that says nothing of a permission, with what is told of it.
fn mishaps() -> [(Fault, &'static str); 3] {
    [
        (Fault::RateLimited { retry_after: std::time::Duration::from_secs(1) }, "(rate_limited): "),
        (Fault::ServerError, "answered 50"),
        (Fault::Truncated, "failed to read"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_google_does_not_answer_for_is_no_missing_permission() {
    let clouds = clouds(Options::default()).await;
    for (fault, words) in mishaps() {
        // The table, and two queries that are not run.
        clouds.gcp.faults.spare(3);
        clouds.gcp.faults.order(fault, 1);
        let told = check(&clouds, Provider::Gcp).await;
        assert_eq!(told.code, Some(0), "{}", told.text);
        let line = told.line("`billing.accounts.get`");
        assert!(line.contains("  note") && line.contains("could not be asked for"), "{line}");
        assert!(line.contains(words) && line.ends_with("try again"), "{line}");
        assert!(!line.contains("may not") && !line.contains("--role"), "{line}");
        told.line("may read list prices");
    }
    // An account that is not there is nobody's to give a role on.
    let account = clouds.options.gcp.billing_account.replace('-', "_");
    let told = check_with(&clouds, Provider::Gcp, |entry| {
        entry["billing_account"] = json!("0A0A0A-0B0B0B-0C0C0C");
        entry["table"] = json!(format!("gcp_billing_export_v1_{account}"));
    })
    .await;
    let line = told.line("`billing.accounts.get` could not be asked for (config): ");
    assert!(line.contains("compare `billing_account` with") && !line.contains("--role"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_not_there_yet_is_a_state_with_its_command() {
    for (export, words) in [
        (Export::NotEnabled, "the export is switched on in the console"),
        (Export::Filling { days: 0 }, "has no cost for the days"),
    ] {
        let clouds = clouds(gcp(|gcp| gcp.export = export)).await;
        let told = check(&clouds, Provider::Gcp).await;
        assert_eq!(told.code, Some(0), "{}", told.text);
        let line = told.line(words);
        assert!(line.contains("  note") && line.contains("bq "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_google_refuses_are_told_as_such() {
    let clouds = clouds(Options::default()).await;
    clouds.gcp.faults.order(Fault::Unauthorized, 1);
    let told = check(&clouds, Provider::Gcp).await;
    told.fails_alone("no identity: ", &["401"]);
    let told = check_with(&clouds, Provider::Gcp, |entry| {
        entry["credentials"] = json!({"file": "/nowhere/gcp.json"});
    })
    .await;
    told.fails_alone("no identity: ", &["/nowhere/gcp.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_permission_that_is_missing_in_azure_has_its_line_and_command() {
    let scope = "/subscriptions/0a7c2e58-91f4-4d36-8b0e-5d1f6a2c3b01";
    let of_subscription = |entry: &mut Value| entry["scope"] = json!(scope);
    let denied = clouds(azure("Query")).await;
    let told = check_with(&denied, Provider::Azure, of_subscription).await;
    let command = format!(
        "run `az role assignment create --assignee-object-id {} --assignee-principal-type \
         ServicePrincipal --role \"Cost Management Reader\" --scope {scope}`",
        AzureOptions::default().client_id
    );
    told.fails_alone("may not `Microsoft.CostManagement/query/action`: ", &[&command]);
    // A billing account is not a matter of roles on resources.
    let told = check(&denied, Provider::Azure).await;
    told.fails_alone("may not `Microsoft.CostManagement/query/action`: ", &["`EnrollmentReader`"]);
    let denied = clouds(azure("UsageDetails")).await;
    let told = check_with(&denied, Provider::Azure, |entry| {
        of_subscription(entry);
        entry["method"] = json!("usage_details");
    })
    .await;
    told.fails_alone("may not `Microsoft.Consumption/usageDetails/read`: ", &[&command]);
    // Budgets are extras.
    let denied = clouds(azure("Budgets")).await;
    let told = check_with(&denied, Provider::Azure, of_subscription).await;
    assert_eq!(told.code, Some(0), "{}", told.text);
    let line = told.line("may not `Microsoft.Consumption/budgets/read`");
    assert!(line.contains("  note") && line.contains(&command), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_that_azure_does_not_answer_for_are_no_missing_permission() {
    let clouds = clouds(Options::default()).await;
    // The enrolment's costs are asked first, then its budgets, its balance and its charges.
    for (asked, answered) in [("budgets", 1), ("balances", 2), ("charges", 3)] {
        for (fault, words) in mishaps() {
            clouds.azure.faults.spare(answered);
            clouds.azure.faults.order(fault, 1);
            let told = check(&clouds, Provider::Azure).await;
            assert_eq!(told.code, Some(0), "{}", told.text);
            let line = told.line(&format!("`Microsoft.Consumption/{asked}/read`"));
            assert!(line.contains("  note") && line.contains("could not be asked for"), "{line}");
            assert!(line.contains(words) && line.ends_with("try again"), "{line}");
            assert!(!line.contains("may not") && !line.contains("EnrollmentReader"), "{line}");
            told.tells_no_secret();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_enrolment_refuses_is_named_as_what_it_is() {
    for (operation, permission) in [("Balances", "balances"), ("Charges", "charges")] {
        let denied = clouds(azure(operation)).await;
        let told = check(&denied, Provider::Azure).await;
        assert_eq!(told.code, Some(0), "{}", told.text);
        let line = told.line(&format!("may not `Microsoft.Consumption/{permission}/read`"));
        assert!(line.contains("  note") && line.contains("`EnrollmentReader`"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_azure_refuses_are_told_as_such() {
    let clouds = clouds(Options::default()).await;
    let told = check_with(&clouds, Provider::Azure, |entry| {
        entry["credentials"]["client_secret"] = json!({"env": "HOME"});
    })
    .await;
    told.fails_alone("no identity: ", &["the client secret is wrong"]);
    clouds.azure.faults.order(Fault::Unauthorized, 1);
    let told = check(&clouds, Provider::Azure).await;
    told.fails_alone("`Microsoft.CostManagement/query/action` is not proved", &["401"]);
}

/// The permissions that the code blocks of a page's part on permissions name.
fn of_page(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/sources/{name}.md"));
    let page = std::fs::read_to_string(path).unwrap();
    let part = page.split("\n## Permissions\n").nth(1).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let blocks = part.split("```").skip(1).step_by(2);
    let blocks = blocks.filter(|block| block.starts_with("json\n") || block.starts_with("yaml\n"));
    let pattern = regex_lite::Regex::new(
        r"^([a-z]+:[A-Z]\w+|(bigquery|serviceusage|billing)(\.[a-zA-Z]+){2}|Microsoft\.\w+(/\w+)+)$",
    )
    .unwrap();
    let is_word = |c: char| c.is_ascii_alphanumeric() || ":./_".contains(c);
    let mut found: Vec<String> = blocks
        .flat_map(|block| block.split(|c: char| !is_word(c)))
        // A condition's key.
        .filter(|word| pattern.is_match(word) && *word != "sts:ExternalId")
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn the_policies_of_the_pages_give_what_is_proved_and_nothing_else() {
    for kind in SOURCES {
        let mut proved: Vec<String> = kind.permissions.iter().map(|p| (*p).to_owned()).collect();
        proved.sort();
        assert_eq!(of_page(kind.name), proved, "docs/sources/{}.md", kind.name);
    }
}
