//! Tokens by plain HTTP: the directory, the two managed identities, the check of the bearer.

use std::time::Duration;

use costband::simulate::azure::AzureOptions;
use reqwest::Response;
use serde_json::Value;

use super::world::Server;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn told(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn secret_and_federated_token_buy_a_bearer_that_resource_manager_takes() {
    let options = AzureOptions {
        federated_token: Some("header.claims.signature".to_owned()),
        ..AzureOptions::default()
    };
    let mut server = Server::start(options).await;
    let federated = [
        ("client_secret", ""),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", "header.claims.signature"),
    ];
    let wrong = server.ask_token(&federated).send().await.unwrap();
    assert_eq!(wrong.status(), 401, "an empty secret is a wrong secret");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &server.options.client_id),
        ("scope", "https://management.azure.com/.default"),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", "header.claims.signature"),
    ];
    let url = format!("{}/{}/oauth2/v2.0/token", server.base, server.options.tenant_id);
    let (status, reply) = told(server.client.post(url).form(&form).send().await.unwrap()).await;
    assert_eq!(
        (status, &reply["token_type"], &reply["expires_in"]),
        (200, &"Bearer".into(), &3599.into())
    );
    server.token = reply["access_token"].as_str().unwrap().to_owned();
    assert_eq!(server.token.split('.').count(), 3);
    let taken = server.get("/tenants?api-version=2022-12-01").send().await.unwrap();
    assert_eq!(taken.status(), 200);
    assert_eq!(server.options.requests.count("Token"), 3);
}

#[tokio::test]
async fn wrong_token_requests_name_their_code() {
    let server = Server::start(AzureOptions::default()).await;
    for (name, value, status, error, code) in [
        ("client_secret", "guess", 401, "invalid_client", 7_000_215),
        ("client_id", "stranger", 400, "unauthorized_client", 700_016),
        ("grant_type", "password", 400, "unsupported_grant_type", 70_003),
        ("scope", "https://management.azure.com", 400, "invalid_scope", 1_002_012),
        ("scope", "", 400, "invalid_request", 900_144),
    ] {
        let response = server.ask_token(&[(name, value)]).send().await.unwrap();
        let (found, reply) = told(response).await;
        assert_eq!((found, reply["error"].as_str()), (status, Some(error)), "{name}");
        assert_eq!(reply["error_codes"], serde_json::json!([code]));
        let description = reply["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
    }
    let url = format!("{}/other/oauth2/v2.0/token", server.base);
    let (status, reply) = told(server.client.post(url).send().await.unwrap()).await;
    assert_eq!((status, &reply["error_codes"][0]), (400, &90002.into()));
}

#[tokio::test]
async fn managed_identities_want_their_header_and_give_texts() {
    let server = Server::start(AzureOptions::default()).await;
    let metadata = format!(
        "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com",
        server.base
    );
    let bare = server.client.get(&metadata).send().await.unwrap();
    assert_eq!(bare.status(), 400);
    let good = server.client.get(&metadata).header("Metadata", "true").send().await.unwrap();
    let (status, reply) = told(good).await;
    assert_eq!((status, &reply["resource"]), (200, &"https://management.azure.com".into()));
    assert!(reply["expires_on"].as_str().unwrap().parse::<i64>().is_ok());
    let other = server.client.get(format!("{metadata}&client_id=other"));
    assert_eq!(other.header("Metadata", "true").send().await.unwrap().status(), 400);

    let service = format!(
        "{}/msi/token?resource=https://management.azure.com&api-version=2019-08-01",
        server.base
    );
    let bare = server.client.get(&service).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    let good =
        server.client.get(&service).header("X-IDENTITY-HEADER", &server.options.identity_header);
    let (status, reply) = told(good.send().await.unwrap()).await;
    assert_eq!(status, 200);
    let bearer = reply["access_token"].as_str().unwrap();
    let tenants = format!("{}/tenants?api-version=2022-12-01", server.base);
    let taken = server.client.get(tenants).bearer_auth(bearer).send().await.unwrap();
    assert_eq!(taken.status(), 200);
}

#[tokio::test]
async fn missing_unknown_and_expired_bearers_are_told_apart() {
    let options = AzureOptions { token_lifetime: Duration::ZERO, ..AzureOptions::default() };
    let server = Server::start(options).await;
    let url = format!("{}/subscriptions?api-version=2022-12-01", server.base);
    for (bearer, code) in [
        (None, "AuthenticationFailed"),
        (Some("not.a.token"), "InvalidAuthenticationToken"),
        (Some(&*server.token), "ExpiredAuthenticationToken"),
    ] {
        let request = server.client.get(&url);
        let request = match bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        };
        let response = request.send().await.unwrap();
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains(&server.options.tenant_id), "{challenge}");
        let (status, reply) = told(response).await;
        assert_eq!((status, reply["error"]["code"].as_str()), (401, Some(code)));
    }
}

#[tokio::test]
async fn discovery_documents_point_back_at_this_server() {
    let server = Server::start(AzureOptions::default()).await;
    let tenant = &server.options.tenant_id;
    let instance = format!("{}/common/discovery/instance?api-version=1.1", server.base);
    let (_, reply) = told(server.client.get(instance).send().await.unwrap()).await;
    let document = reply["tenant_discovery_endpoint"].as_str().unwrap();
    let (_, reply) = told(server.client.get(document).send().await.unwrap()).await;
    assert_eq!(reply["token_endpoint"], format!("{}/{tenant}/oauth2/v2.0/token", server.base));
}
