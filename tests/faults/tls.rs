//! TLS and the forms of Neon's URLs, against a server with certificates from a test authority.

use local::postgres::Cluster;
use reqwest::Method;
use tests::{
    App, Authority, Contract, MIGRATED, Options, Response, TlsProxy, connect, errors, migrated_cluster,
    serve_tls,
};
use tokio_postgres::Client;

/// A database server with the schema, for one test: a server has only one certificate at a time.
struct Server {
    cluster: Cluster,
    superuser: Client,
    authority: Authority,
}

impl Server {
    async fn start() -> Self {
        let cluster = migrated_cluster().await;
        let superuser = connect(&cluster.url("postgres")).await;
        Self { cluster, superuser, authority: Authority::new() }
    }

    /// Starts a server with a certificate for 127.0.0.1.
    async fn with_tls() -> Self {
        let server = Self::start().await;
        serve_tls(&server.superuser, &server.authority.issue("127.0.0.1", false)).await;
        server
    }

    /// The server's URL with these parameters, with another port if `port` is set.
    fn url(&self, port: Option<u16>, parameters: &str) -> String {
        let url = self.cluster.endpoints_url_through(port.unwrap_or(self.cluster.port()), MIGRATED);
        format!("{url}?{parameters}")
    }

    /// Uses the API with this URL. The error is the reason that the log gives for the 503.
    async fn try_url(&self, url: &str, ca_certificate: Option<&str>) -> Option<Result<(), String>> {
        let mut options = Options::default().with("DATABASE_URL", url);
        if let Some(certificate) = ca_certificate {
            options = options.with("DATABASE_CA_CERT", certificate);
        }
        let app = App::local_with(options).await?;
        let response = app.user("alice").envelope().list("").await;
        let ready = Response::to(app.request(Method::GET, "/health/ready")).await;
        if response.status == 200 {
            assert_eq!(ready.status, 200);
            return Some(Ok(()));
        }
        response.assert_error(Contract::Envelope, &errors::UNAVAILABLE);
        ready.assert_error(Contract::Envelope, &errors::UNAVAILABLE);
        let lines = app.internals().log_lines();
        let line = lines.iter().rfind(|line| line["status"] == 503 && line["function"] == "list-tasks");
        Some(Err(line.expect("a 503 is logged")["reason"].as_str().expect("with its reason").to_owned()))
    }

    /// The number of encrypted sessions other than this one, according to the server.
    async fn count_encrypted(&self) -> i64 {
        let count = "select count(*) from pg_stat_ssl where ssl and pid <> pg_backend_pid()";
        self.superuser.query_one(count, &[]).await.expect("the database is up").get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_valid_certificate_is_accepted() {
    let server = Server::start().await;
    let trusted = server.authority.certificate();
    let stranger = Authority::new();
    let file = std::env::temp_dir().join(format!("authority-{}.pem", uuid::Uuid::new_v4().simple()));
    std::fs::write(&file, &trusted).expect("a temporary file");

    let plain = server.try_url(&server.url(None, "sslmode=require"), Some(&trusted)).await;
    let Some(plain) = plain else { return };
    let reason = plain.expect_err("a server without TLS");
    assert!(reason.contains("server does not support TLS"), "{reason}");

    for (certificate, expected) in [
        (server.authority.issue("127.0.0.1", true), Some("expired")),
        (server.authority.issue("another.example", false), Some("not valid for name")),
        (stranger.issue("127.0.0.1", false), Some("UnknownIssuer")),
        (server.authority.issue("127.0.0.1", false), None),
    ] {
        serve_tls(&server.superuser, &certificate).await;
        // The server reloads its certificate asynchronously.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        for mode in ["require", "verify-full", "prefer"] {
            let url = server.url(None, &format!("sslmode={mode}"));
            let outcome = server.try_url(&url, Some(&trusted)).await.expect("on this machine");
            match expected {
                None => outcome.expect("the certificate is valid"),
                Some(words) => {
                    let reason = outcome.expect_err("the certificate is invalid");
                    assert!(reason.contains(words), "{reason}");
                }
            }
        }
    }
    // The authority as a file, and no authority at all.
    let url = server.url(None, "sslmode=require");
    let by_file = server.try_url(&url, file.to_str()).await.expect("on this machine");
    by_file.expect("a file with the authority");
    let untrusted = server.try_url(&url, None).await.expect("on this machine");
    let reason = untrusted.expect_err("the authority is not trusted");
    assert!(reason.contains("UnknownIssuer"), "{reason}");
    std::fs::remove_file(file).expect("it was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_the_url_connects_with_tls() {
    let server = Server::with_tls().await;
    let trusted = server.authority.certificate();
    for parameters in [
        "sslmode=require&channel_binding=require",
        "sslmode=require",
        "sslmode=prefer",
        "sslmode=allow",
        "sslmode=verify-ca",
        "sslmode=verify-full",
        "sslmode=verify-full&sslrootcert=system",
        "ssl=require",
        "ssl=true",
        "",
        // Neon's own `endpoint=` would be an unknown setting to PostgreSQL, which accepts any name with a
        // prefix.
        "sslmode=require&options=-c%20app.endpoint%3Dep-cool",
        "sslmode=require&application_name=tasks&connect_timeout=5",
    ] {
        for scheme in ["postgresql+asyncpg://", "postgresql://", "postgres://"] {
            let url = server.url(None, parameters).replacen("postgres://", scheme, 1);
            let Some(app) = App::local_with(
                Options::default().with("DATABASE_URL", &url).with("DATABASE_CA_CERT", &trusted),
            )
            .await
            else {
                return;
            };
            app.user("alice").envelope().list("").await.expect_status(200);
            assert_eq!(server.count_encrypted().await, 1, "{parameters}");
            drop(app);
            // The session ends a moment after its client.
            while server.count_encrypted().await > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
    for parameters in ["sslmode=disable", "ssl=false", "ssl=disable"] {
        let outcome = server.try_url(&server.url(None, parameters), None).await.expect("on this machine");
        outcome.expect("without TLS");
        assert_eq!(server.count_encrypted().await, 0, "{parameters}");
    }
}

/// The man in the middle has a trusted certificate and passes the password's proof on to the server. Only
/// channel binding detects this: the proof is bound to the TLS connection of the client, and the server has
/// another one.
#[tokio::test(flavor = "multi_thread")]
async fn channel_binding_is_used_and_detects_a_man_in_the_middle() {
    let server = Server::with_tls().await;
    let trusted = server.authority.certificate();
    let proxy = TlsProxy::start(&server.authority, server.cluster.port()).await;
    for (binding, port, works) in [
        ("require", None, true),
        ("prefer", None, true),
        ("disable", Some(proxy.port), true),
        ("require", Some(proxy.port), false),
        ("prefer", Some(proxy.port), false),
    ] {
        let url = server.url(port, &format!("sslmode=require&channel_binding={binding}"));
        let Some(outcome) = server.try_url(&url, Some(&trusted)).await else { return };
        match works {
            true => outcome.unwrap_or_else(|reason| panic!("{binding} {port:?}: {reason}")),
            false => {
                let reason = outcome.expect_err("the proof is bound to another connection");
                // The server's message.
                assert!(reason.contains("SCRAM channel binding check failed"), "{reason}");
            }
        }
    }
    // A server without TLS can't bind a channel, so a client that requires it gives up.
    let without_tls = Server::start().await;
    let url = without_tls.url(None, "sslmode=prefer&channel_binding=require");
    let reason =
        without_tls.try_url(&url, None).await.expect("on this machine").expect_err("no channel to bind");
    assert!(reason.contains("channel binding"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_negotiation_starts_with_the_tls_handshake() {
    let server = Server::with_tls().await;
    let trusted = server.authority.certificate();
    let proxy = TlsProxy::start(&server.authority, server.cluster.port()).await;
    let parameters = "sslmode=require&sslnegotiation=direct&channel_binding=disable";
    let Some(outcome) = server.try_url(&server.url(Some(proxy.port), parameters), Some(&trusted)).await
    else {
        return;
    };
    outcome.expect("the proxy supports it");
    assert_eq!(proxy.direct_connections(), 2, "one from list-tasks, one from health");

    let version: String =
        server.superuser.query_one("show server_version_num", &[]).await.expect("the database is up").get(0);
    let parameters = "sslmode=require&sslnegotiation=direct&channel_binding=require";
    let outcome =
        server.try_url(&server.url(None, parameters), Some(&trusted)).await.expect("on this machine");
    // PostgreSQL itself supports it from version 17 on.
    assert_eq!(outcome.is_ok(), *version >= *"170000", "{version} {outcome:?}");
}
