//! Reads where the database is and how to connect to it. Accepts URLs as Neon shows them, and as Python
//! projects with SQLAlchemy or asyncpg write them.

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{
    Client, Config,
    config::{Host, SslMode, SslNegotiation},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    error::{Recorded, in_one_line},
    variables::{Variables, is_this_machine},
};

/// Limit on connecting to one address of the database's host, if the URL sets none (`connect_timeout`). If
/// one address of a host is dead, this leaves time for the next; Neon's hosts have several. The limit is
/// above one second because a lost SYN packet is sent again after one second.
const ADDRESS_LIMIT: Duration = Duration::from_millis(1500);

/// Limit on waiting for the server's kernel to acknowledge data (`tcp_user_timeout`). After it, this
/// machine's kernel drops the connection together with its unsent data, even if the process has closed it.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(4);

/// The role that endpoints should log in as. It can call the SQL functions and nothing else.
const ENDPOINTS_ROLE: &str = "task_api_endpoints";

/// The variables that can contain the URL. The first that is set is used.
const DATABASE_URL: &[&str] = &["DATABASE_URL", "NEON_DATABASE_URL"];

/// Where the database is and how to connect to it.
#[derive(Clone)]
pub struct DatabaseConfig {
    pub(super) postgres: Config,
    pub(super) tls: MakeRustlsConnect,
    /// The greatest number of connections of this process.
    pub(super) pool_size: usize,
}

impl DatabaseConfig {
    /// Whether a database is configured.
    pub fn is_set(variables: &Variables) -> bool {
        variables.first(DATABASE_URL).is_some()
    }

    /// Reads `DATABASE_URL` (or `NEON_DATABASE_URL`), `DATABASE_POOL_SIZE` and `DATABASE_CA_CERT`.
    ///
    /// # Errors
    /// If no URL is set, or a variable is invalid.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        let config = Self::read_url(variables, DATABASE_URL)?;
        // For a rotation of the password, a second login with a longer name inherits the role's rights.
        if !config.postgres.get_user().is_some_and(|user| user.starts_with(ENDPOINTS_ROLE)) {
            variables.warn(format!(
                "DATABASE_URL logs in as a role other than {ENDPOINTS_ROLE}: use that one, \
                 which has only the rights that endpoints need"
            ));
        }
        Ok(config)
    }

    /// Reads the configuration for migrations. `DATABASE_URL_UNPOOLED` takes precedence, so that migrations
    /// bypass a connection pooler.
    ///
    /// # Errors
    /// If no URL is set, or a variable is invalid.
    pub fn read_unpooled(variables: &mut Variables) -> Result<Self, Recorded> {
        Self::read_url(variables, &["DATABASE_URL_UNPOOLED", "DATABASE_URL", "NEON_DATABASE_URL"])
    }

    fn read_url(variables: &mut Variables, names: &[&'static str]) -> Result<Self, Recorded> {
        let pool_size = match variables.get("DATABASE_POOL_SIZE").map(|size| size.parse()) {
            None => Ok(1),
            Some(Ok(size @ 1..=100)) => Ok(size),
            Some(_) => variables.error("DATABASE_POOL_SIZE must be a whole number from 1 to 100"),
        };
        let Some((name, url)) = variables.first(names) else {
            return variables.error("DATABASE_URL is not set (nor is NEON_DATABASE_URL)");
        };
        let postgres = parse_url(&url).or_else(|reason| variables.error(format!("{name} {reason}")));
        let roots = read_roots(variables.get("DATABASE_CA_CERT"))
            .or_else(|reason| variables.error(format!("DATABASE_CA_CERT {reason}")));
        let (postgres, roots) = (postgres?, roots?);
        let is_direct = postgres.get_ssl_negotiation() == SslNegotiation::Direct;
        Ok(Self { postgres, tls: tls(roots, is_direct), pool_size: pool_size? })
    }

    /// Opens a connection outside the pool, for work that doesn't belong to a request.
    ///
    /// # Errors
    /// The same as [`Config::connect`].
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.postgres.connect(self.tls.clone()).await?;
        // If the connection fails, the client's next call returns an error.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl fmt::Debug for DatabaseConfig {
    /// Prints no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("hosts", &self.postgres.get_hosts())
            .field("database", &self.postgres.get_dbname())
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// Reads a URL in the spellings of libpq, SQLAlchemy and asyncpg. tokio-postgres itself understands only some
/// of libpq's.
fn parse_url(url: &str) -> Result<Config, String> {
    let (scheme, rest) = url.split_once("://").ok_or("is not a URL: it must start with postgresql://")?;
    // SQLAlchemy appends a driver to the scheme: postgresql+asyncpg.
    if !matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) {
        return Err("is not a PostgreSQL URL: it must start with postgresql://".into());
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).filter_map(translate).collect();
    let config = Config::from_str(&format!("postgresql://{address}?{}", parameters.join("&")));
    let mut config =
        config.map_err(|error| format!("is not a valid PostgreSQL URL: {}", in_one_line(&error)))?;
    if config.get_hosts().is_empty() {
        return Err("has no host".into());
    }
    if !leads_to_this_machine(&config) {
        if config.get_ssl_mode() == SslMode::Disable {
            return Err("disables TLS, which is allowed only for a database on this machine".into());
        }
        config.ssl_mode(SslMode::Require);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(ADDRESS_LIMIT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED_LIMIT);
    }
    Ok(config)
}

/// Whether every host and address is this machine.
fn leads_to_this_machine(config: &Config) -> bool {
    config.get_hostaddrs().iter().all(IpAddr::is_loopback)
        && config.get_hosts().iter().all(|host| match host {
            Host::Tcp(host) => is_this_machine(host),
            Host::Unix(_) => true,
        })
}

/// Translates a parameter of the URL for tokio-postgres. Returns `None` for a parameter that is not needed.
fn translate(pair: &str) -> Option<Cow<'_, str>> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mode = match (name, value) {
        // The public certificate authorities are always trusted. DATABASE_CA_CERT adds others.
        ("sslrootcert", _) => return None,
        ("sslmode" | "ssl", "verify-ca" | "verify-full" | "require" | "true") => "require",
        ("sslmode" | "ssl", "allow" | "prefer") => "prefer",
        ("ssl", "disable" | "false") => "disable",
        _ => return Some(Cow::Borrowed(pair)),
    };
    Some(Cow::Owned(format!("sslmode={mode}")))
}

/// Returns the trusted certificate authorities: the public ones, and those in `DATABASE_CA_CERT`, which
/// contains PEM or the path of a PEM file.
fn read_roots(certificates: Option<String>) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(certificates) = certificates else { return Ok(roots) };
    let pem = match certificates.contains("-----BEGIN") {
        true => certificates.into_bytes(),
        false => std::fs::read(certificates).map_err(|_| "is neither PEM nor the path of a readable file")?,
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| "contains invalid PEM")?;
        roots.add(certificate).map_err(|_| "contains a certificate that can't be parsed")?;
    }
    if roots.len() == before { Err("contains no certificate") } else { Ok(roots) }
}

/// Creates a TLS connector that always verifies the server's certificate and host name.
fn tls(roots: RootCertStore, is_direct: bool) -> MakeRustlsConnect {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if is_direct {
        // Without PostgreSQL's usual negotiation, the server requires its protocol in ALPN.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    MakeRustlsConnect::new(config)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::ChannelBinding;

    use super::*;
    use crate::variables::read_for_test;

    fn parse(url: &str) -> Config {
        parse_url(url).unwrap_or_else(|mistake| panic!("{url} {mistake}"))
    }

    #[test]
    fn neons_url_is_accepted_unchanged() {
        let config = parse(
            "postgresql://alex:AbC%23d@ep-cool-pooler.eu-central-1.aws.neon.tech/dbname?sslmode=require&channel_binding=require",
        );
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(config.get_password(), Some(&b"AbC#d"[..]));
        assert_eq!(config.get_dbname(), Some("dbname"));
        let host = Host::Tcp("ep-cool-pooler.eu-central-1.aws.neon.tech".into());
        assert_eq!(config.get_hosts(), [host]);
    }

    #[test]
    fn every_spelling_of_the_tls_mode_is_understood() {
        for (query, mode) in [
            ("", SslMode::Prefer),
            ("?sslmode=disable", SslMode::Disable),
            ("?sslmode=allow", SslMode::Prefer),
            ("?sslmode=prefer", SslMode::Prefer),
            ("?sslmode=require", SslMode::Require),
            ("?sslmode=verify-ca", SslMode::Require),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require),
            ("?ssl=require", SslMode::Require),
            ("?ssl=true", SslMode::Require),
            ("?ssl=false", SslMode::Disable),
        ] {
            assert_eq!(parse(&format!("postgres://u:p@localhost/db{query}")).get_ssl_mode(), mode, "{query}");
        }
        let direct = parse("postgres://u:p@h/db?sslmode=require&sslnegotiation=direct");
        assert_eq!(direct.get_ssl_negotiation(), SslNegotiation::Direct);
    }

    #[test]
    fn tls_is_required_for_every_host_but_this_machine() {
        let elsewhere = ["h", "10.0.0.1", "localhost.example", "127.0.0.1.example", "localhost,h"];
        for host in elsewhere {
            for query in ["", "?sslmode=allow", "?sslmode=prefer", "?sslmode=require"] {
                let config = parse(&format!("postgres://u:p@{host}/db{query}"));
                assert_eq!(config.get_ssl_mode(), SslMode::Require, "{host}{query}");
            }
            for query in ["?sslmode=disable", "?ssl=false"] {
                let error = parse_url(&format!("postgres://u:p@{host}/db{query}")).expect_err(host);
                assert!(error.contains("TLS"), "{error}");
            }
        }
        let disguised = parse("postgres://u:p@localhost/db?hostaddr=10.0.0.1");
        assert_eq!(disguised.get_ssl_mode(), SslMode::Require);
        for here in [
            "localhost",
            "LOCALHOST",
            "host.docker.internal",
            "127.0.0.1",
            "127.8.0.1",
            "[::1]",
            "%2Frun%2Fpostgresql",
        ] {
            let config = parse(&format!("postgres://u:p@{here}/db"));
            assert_eq!(config.get_ssl_mode(), SslMode::Prefer, "{here}");
        }
    }

    #[test]
    fn urls_of_sqlalchemy_and_asyncpg_are_understood() {
        let config = parse("postgresql+asyncpg://u:p@h:6543/db?ssl=require&options=endpoint%3Dep-cool");
        assert_eq!(config.get_ports(), [6543]);
        assert_eq!(config.get_options(), Some("endpoint=ep-cool"));
    }

    #[test]
    fn an_invalid_url_is_reported_without_quoting_it() {
        for url in [
            "secret",
            "mysql://u:secret@h/db",
            "postgres://u:secret@h/db?sslmode=secret",
            "postgres://u:secret@h:port/db",
            "postgres:///db",
        ] {
            let mistake = parse_url(url).expect_err(url);
            assert!(!mistake.contains("secret"), "{url}: {mistake}");
        }
    }

    #[test]
    fn an_invalid_ca_certificate_is_reported() {
        let error = |certificates| {
            let variables = [("DATABASE_URL", "postgres://h/db"), ("DATABASE_CA_CERT", certificates)];
            read_for_test(&variables, DatabaseConfig::read).expect_err("broken")
        };
        assert_eq!(error("/no/such/file"), "DATABASE_CA_CERT is neither PEM nor the path of a readable file");
        let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        assert_eq!(error(key), "DATABASE_CA_CERT contains no certificate");
        assert_eq!(error("-----BEGIN CERTIFICATE-----\nAAAA"), "DATABASE_CA_CERT contains invalid PEM");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(broken), "DATABASE_CA_CERT contains a certificate that can't be parsed");
    }

    #[test]
    fn endpoints_accept_neon_database_url_and_migrations_prefer_the_unpooled_url() {
        let config = read_for_test(
            &[
                ("NEON_DATABASE_URL", "postgres://u@pooled/db"),
                ("DATABASE_URL_UNPOOLED", "postgres://u@direct/db"),
            ],
            |variables| Ok((DatabaseConfig::read(variables)?, DatabaseConfig::read_unpooled(variables)?)),
        )
        .expect("complete");
        assert!(format!("{:?}", config.0).contains("pooled"));
        assert!(format!("{:?}", config.1).contains("direct"));
    }
}
