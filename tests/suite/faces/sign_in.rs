//! Browsers bear the token as a password; a change by one must come from the agent's own page.

use costband::config::secret::SecretRef;
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde_json::json;

use super::world::{Shown, snapshot};

/// With a colon and letters past ASCII: RFC 7617 parts name and password at the first colon.
const TOKEN: &str = "t0ken:of-the-désk";

struct Guarded {
    _folder: tempfile::TempDir,
    shown: Shown,
    client: Client,
}

impl Guarded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, TOKEN).unwrap();
        let shown = Shown::empty(Some(SecretRef { file: Some(path), env: None })).await;
        shown.publish(snapshot());
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { _folder: folder, shown, client }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.shown.url))
    }

    /// The identity of the alert that fires.
    async fn firing(&self) -> String {
        let told = self.ask(Method::GET, "/api/v1/alerts").bearer_auth(TOKEN).send().await.unwrap();
        let told: serde_json::Value = told.json().await.unwrap();
        told["alerts"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_browser_is_asked_for_a_password_on_pages_and_gets_in_with_the_token() {
    let guarded = Guarded::start().await;
    let style = "/assets/page-00000000.css";
    for path in ["/", "/alerts", "/sources", "/record", "/bands/aws", style] {
        let asked = guarded.ask(Method::GET, path).send().await.unwrap();
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "{path}");
        let challenges: Vec<_> = asked.headers().get_all("www-authenticate").iter().collect();
        let basic = "Basic realm=\"costband\", charset=\"UTF-8\"";
        assert_eq!(challenges, ["Bearer", basic], "{path}");
        let let_in = guarded.ask(Method::GET, path).basic_auth("jin", Some(TOKEN)).send().await;
        let wanted = if path == style { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(let_in.unwrap().status(), wanted, "{path}");
        for (name, password) in [("jin", Some("wrong")), ("jin", None), (TOKEN, Some(""))] {
            let refused = guarded.ask(Method::GET, path).basic_auth(name, password).send().await;
            assert_eq!(refused.unwrap().status(), StatusCode::UNAUTHORIZED, "{path} {name}");
        }
    }
    for path in ["/metrics", "/api/v1/alerts"] {
        let asked = guarded.ask(Method::GET, path).send().await.unwrap();
        let challenges: Vec<_> = asked.headers().get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["Bearer"], "a program is asked for no password at {path}");
        let let_in = guarded.ask(Method::GET, path).basic_auth("", Some(TOKEN)).send().await;
        assert_ne!(let_in.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_change_by_a_browser_comes_from_the_agents_own_page_or_not_at_all() {
    let guarded = Guarded::start().await;
    let id = guarded.firing().await;
    let host = guarded.shown.url.trim_start_matches("http://").to_owned();
    let own = format!("http://{host}");
    let form = format!("/alerts/{id}/acknowledgement");
    let document = format!("/api/v1/alerts/{id}/acknowledgement");
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", &own)], false),
        (&[("origin", "http://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", &own)], true),
        (&[("sec-fetch-site", "same-origin"), ("origin", &own)], true),
    ];
    for (headers, passes) in cases {
        let with = |mut request: RequestBuilder| {
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.basic_auth("jin", Some(TOKEN))
        };
        let by = [("by", "jin"), ("comment", "")];
        let answer = with(guarded.ask(Method::POST, &form).form(&by)).send().await.unwrap();
        let wanted = if passes { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status(), wanted, "{headers:?}");
        let by = json!({"by": "jin"});
        let answer = with(guarded.ask(Method::POST, &document).json(&by)).send().await.unwrap();
        let wanted = if passes { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status(), wanted, "{headers:?}");
        let answer = with(guarded.ask(Method::DELETE, &document)).send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{headers:?}");
        let read = with(guarded.ask(Method::GET, "/alerts")).send().await.unwrap();
        assert_eq!(read.status(), StatusCode::OK, "reading changes nothing: {headers:?}");
    }
    // A program says itself that it means it.
    let by = json!({"by": "jin"});
    let answer = guarded.ask(Method::POST, &document).bearer_auth(TOKEN).json(&by).send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn forms_take_give_back_and_silence_and_say_what_came_of_it() {
    let guarded = Guarded::start().await;
    let id = guarded.firing().await;
    let page = async |path: &str| {
        let answer = guarded.ask(Method::GET, path).basic_auth("jin", Some(TOKEN)).send().await;
        answer.unwrap().text().await.unwrap()
    };
    let post = async |path: String, form: &[(&str, &str)]| {
        let request = guarded.ask(Method::POST, &path).form(form).basic_auth("jin", Some(TOKEN));
        let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        (
            answer.status(),
            answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()),
        )
    };
    let back = |query: &str| (StatusCode::SEE_OTHER, Some(format!("../../alerts/{id}{query}")));
    let of_alert = format!("/alerts/{id}");

    let shown = page(&of_alert).await;
    assert!(shown.contains("by nobody") && shown.contains("value=\"jin\""), "{shown}");
    let path = format!("{of_alert}/acknowledgement?lang=ko");
    let taken = post(path, &[("by", " Jin <b> "), ("comment", "until Friday")]).await;
    assert_eq!(taken, back("?lang=ko"));
    let shown = page(&of_alert).await;
    assert!(shown.contains("Jin &lt;b&gt;") && shown.contains("until Friday"), "{shown}");
    assert!(shown.contains("Give back") && !shown.contains("by nobody"), "{shown}");
    assert_eq!(post(format!("{of_alert}/give-back"), &[]).await, back(""));
    assert!(page(&of_alert).await.contains("by nobody"));

    let silence = |hours: &'static str, of: &'static str| {
        vec![("by", "jin"), ("comment", "a planned move"), ("hours", hours), ("of", of)]
    };
    for of in ["alert", "rule", "subject"] {
        let made = post(format!("{of_alert}/silence"), &silence("4", of)).await;
        assert_eq!(made, back(""), "{of}");
    }
    let shown = page("/alerts").await;
    assert_eq!(shown.matches("a planned move").count(), 3, "{shown}");
    assert!(shown.contains("silenced") && shown.contains("Oct 16, 2025, 4:00"), "{shown}");
    let held = guarded.ask(Method::GET, "/api/v1/silences").bearer_auth(TOKEN).send().await;
    let held: serde_json::Value = held.unwrap().json().await.unwrap();
    let matchers: Vec<_> =
        held["silences"].as_array().unwrap().iter().map(|one| one["matchers"].clone()).collect();
    let band = json!({"band": "aws"});
    let wanted = [
        json!({"alert": id}),
        json!({"rule": "ceiling_forecast", "subject": band}),
        json!({"subject": band}),
    ];
    assert_eq!(matchers, wanted);
    let name = held["silences"][0]["id"].as_str().unwrap();
    let ended = post(format!("/silences/{name}/end"), &[]).await;
    assert_eq!(ended, (StatusCode::SEE_OTHER, Some("../../alerts".to_owned())));
    let again = post(format!("/silences/{name}/end"), &[]).await;
    assert_eq!(again.1.as_deref(), Some("../../alerts?problem=gone"));

    let long = "a".repeat(101);
    for (path, form, problem) in [
        ("acknowledgement", vec![("by", " ")], "name"),
        ("acknowledgement", vec![("by", long.as_str())], "name"),
        ("acknowledgement", vec![("by", "jin"), ("comment", "two\nlines")], "comment"),
        ("acknowledgement", vec![], "form"),
        (
            "silence",
            vec![("by", "jin"), ("comment", ""), ("hours", "4"), ("of", "alert")],
            "comment",
        ),
        ("silence", silence("5", "alert"), "form"),
        ("silence", silence("4", "everything"), "form"),
    ] {
        let refused = post(format!("{of_alert}/{path}"), &form).await;
        assert_eq!(refused, back(&format!("?problem={problem}")), "{path} {form:?}");
        let said = page(&format!("{of_alert}?problem={problem}")).await;
        assert!(said.contains("role=\"alert\"") && said.contains("Nothing was changed"), "{said}");
    }
    let unknown = post("/alerts/0123/silence".to_owned(), &silence("4", "alert")).await;
    assert_eq!(unknown.1.as_deref(), Some("../../alerts/0123?problem=gone"));
    let hostile = page(&format!("{of_alert}?problem=%3Cscript%3E")).await;
    assert!(!hostile.contains("role=\"alert\""), "only the page's own words are said");
}

#[tokio::test]
async fn without_a_token_the_page_has_no_form_and_says_why() {
    let open = Shown::start().await;
    let told: serde_json::Value = serde_json::from_str(&open.text("/api/v1/alerts").await).unwrap();
    let id = told["alerts"][0]["id"].as_str().unwrap();
    for path in ["/alerts".to_owned(), format!("/alerts/{id}")] {
        let shown = open.text(&path).await;
        assert!(!shown.contains("<form") && shown.contains("web.bearer_token"), "{path}");
    }
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    for path in [format!("/alerts/{id}/acknowledgement"), "/silences/1/end".to_owned()] {
        let url: reqwest::Url = format!("{}{path}", open.url).parse().unwrap();
        let request = client.post(url.clone()).form(&[("by", "jin")]);
        let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        let back = answer.headers()["location"].to_str().unwrap().to_owned();
        assert!(back.ends_with("?problem=no_token"), "{back}");
        let told = reqwest::get(url.join(&back).unwrap()).await.unwrap().text().await.unwrap();
        let notice = told.split("role=\"alert\"").nth(1).expect("it says why");
        assert!(notice.split("</p>").next().unwrap().contains("web.bearer_token"), "{path}");
    }
}

#[tokio::test]
async fn with_a_token_for_changes_the_one_that_scrapes_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let token = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        Some(SecretRef { file: Some(path), env: None })
    };
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let both = Shown::guarded(token("reads"), token("operates")).await;
    let open = Shown::guarded(None, token("operates")).await;
    for shown in [&both, &open] {
        shown.publish(snapshot());
    }
    let reads = |shown: &Shown, token: &'static str| {
        client.get(format!("{}/api/v1/silences", shown.url)).bearer_auth(token).send()
    };
    let silence = json!({
        "matchers": {"rule": "gpu_idle_money"}, "duration": "1h", "created_by": "Jin",
        "comment": "it is being moved",
    });
    let change =
        |shown: &Shown| client.post(format!("{}/api/v1/silences", shown.url)).json(&silence);
    for (token, wanted) in [("reads", 200), ("operates", 200), ("else", 401)] {
        assert_eq!(reads(&both, token).await.unwrap().status(), wanted, "{token}");
        assert_eq!(reads(&open, token).await.unwrap().status(), 200, "{token}");
    }
    for (shown, token, wanted) in [
        (&both, "reads", 403),
        (&both, "else", 401),
        (&both, "operates", 201),
        (&open, "else", 401),
        (&open, "operates", 201),
    ] {
        let answer = change(shown).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), wanted, "{token}: {}", answer.text().await.unwrap());
    }
    for (name, wanted) in [("reads", true), ("operates", false)] {
        let alerts = client.get(format!("{}/api/v1/alerts", both.url)).bearer_auth(name);
        let alerts: serde_json::Value = alerts.send().await.unwrap().json().await.unwrap();
        let id = alerts["alerts"][0]["id"].as_str().unwrap();
        let page = client.get(format!("{}/alerts/{id}", both.url)).basic_auth("jin", Some(name));
        let page = page.send().await.unwrap().text().await.unwrap();
        assert!(page.contains("<form"), "{name}");
        assert_eq!(page.contains("You signed in with the token that reads"), wanted, "{name}");
    }
    // A browser is asked for the other password, and only its own page changes anything.
    let basic = change(&both).basic_auth("jin", Some("reads")).send().await.unwrap();
    assert_eq!(basic.status(), 403, "a program is told why");
    let form = client.post(format!("{}/alerts/any/give-back", both.url));
    let form = form.basic_auth("jin", Some("reads")).send().await.unwrap();
    assert_eq!(form.status(), 401);
    let elsewhere = change(&open).basic_auth("jin", Some("operates"));
    let elsewhere = elsewhere.header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(change(&open).send().await.unwrap().status(), 401);
}
