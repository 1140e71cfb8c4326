//! Where the database is and how to connect to it, read from the URL that Neon (or a Python ancestor's `.env`) shows.

use std::{borrow::Cow, fmt, path::Path, str::FromStr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres::{Client, Config, config::SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    error::{Recorded, in_one_line},
    variables::Variables,
};

/// Bound on reaching one address of the database's host, where the URL sets none (`connect_timeout`). A host of several
/// addresses, such as Neon's, is then reached by the second where the first is dead. Packets that start a connection
/// are sent again after a second.
const ADDRESS_LIMIT: Duration = Duration::from_millis(1500);

/// The variables that may hold the URL; the first that is set is used.
const DATABASE_URL: &[&str] = &["DATABASE_URL", "NEON_DATABASE_URL"];

/// Where the database is and how to connect to it.
#[derive(Clone)]
pub struct DatabaseConfig {
    pub(super) postgres: Config,
    pub(super) tls: MakeRustlsConnect,
    /// The most connections to hold at a time.
    pub(super) pool_size: usize,
    /// Whether statements are prepared once for each connection. Their names must then be that connection's own.
    pub(super) prepared_statements: bool,
}

/// Why there is no connecting with a URL. Never quotes it.
#[derive(Debug, PartialEq)]
pub enum DatabaseConfigError {
    /// The URL can't be read.
    Url(String),
    /// `DATABASE_CA_CERT` holds no certificate.
    CaCertificate(&'static str),
}

impl DatabaseConfig {
    /// From a URL, and certificates (PEM, or a file with them) whose word is trusted besides the public authorities'.
    /// With one connection at a time, on which nothing is prepared.
    ///
    /// # Errors
    /// The URL or the certificates can't be read.
    pub fn new(url: &str, ca_certificates: Option<&str>) -> Result<Self, DatabaseConfigError> {
        let postgres = parse_url(url).map_err(DatabaseConfigError::Url)?;
        let tls = tls(ca_certificates, postgres.get_ssl_negotiation() == SslNegotiation::Direct)
            .map_err(DatabaseConfigError::CaCertificate)?;
        Ok(Self { postgres, tls, pool_size: 1, prepared_statements: false })
    }

    /// Whether a database is configured.
    pub fn is_set(variables: &Variables) -> bool {
        variables.first(DATABASE_URL).is_some()
    }

    /// Reads `DATABASE_URL` (or `NEON_DATABASE_URL`), `DATABASE_POOL_SIZE`, `DATABASE_PREPARED_STATEMENTS` and
    /// `DATABASE_CA_CERT`.
    ///
    /// # Errors
    /// No URL is set, or a variable is invalid.
    pub fn read(variables: &mut Variables) -> Result<Self, Recorded> {
        Self::read_url(variables, DATABASE_URL)
    }

    /// The same for migrations, which bypass a connection pooler if `DATABASE_URL_UNPOOLED` is set.
    ///
    /// # Errors
    /// No URL is set, or a variable is invalid.
    pub fn read_unpooled(variables: &mut Variables) -> Result<Self, Recorded> {
        Self::read_url(variables, &["DATABASE_URL_UNPOOLED", "DATABASE_URL", "NEON_DATABASE_URL"])
    }

    fn read_url(variables: &mut Variables, names: &[&'static str]) -> Result<Self, Recorded> {
        let pool_size = match variables.get("DATABASE_POOL_SIZE").map(|size| size.parse()) {
            None => Ok(1),
            Some(Ok(size @ 1..=100)) => Ok(size),
            Some(_) => variables.error("DATABASE_POOL_SIZE must be a whole number from 1 to 100"),
        };
        let prepared_statements = variables.flag("DATABASE_PREPARED_STATEMENTS");
        let ca_certificates = variables.get("DATABASE_CA_CERT");
        let Some((name, url)) = variables.first(names) else {
            return variables.error("DATABASE_URL is not set (nor is NEON_DATABASE_URL)");
        };
        match Self::new(&url, ca_certificates.as_deref()) {
            Ok(config) => {
                Ok(Self { pool_size: pool_size?, prepared_statements: prepared_statements?, ..config })
            }
            Err(error) => variables.error(error.describe(name)),
        }
    }

    /// A connection of its own, outside any pool, for work that is no request's.
    ///
    /// # Errors
    /// As [`Config::connect`].
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.postgres.connect(self.tls.clone()).await?;
        // Its end shows in the client's next call.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl DatabaseConfigError {
    /// In one line that names the variable.
    pub fn describe(&self, url_variable: &str) -> String {
        match self {
            Self::Url(mistake) => format!("{url_variable} {mistake}"),
            Self::CaCertificate(mistake) => format!("DATABASE_CA_CERT {mistake}"),
        }
    }
}

impl fmt::Debug for DatabaseConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("hosts", &self.postgres.get_hosts())
            .field("database", &self.postgres.get_dbname())
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// Reads a URL in the spellings of libpq, SQLAlchemy and asyncpg; tokio-postgres alone knows some of libpq's only.
fn parse_url(url: &str) -> Result<Config, String> {
    let (scheme, rest) = url.split_once("://").ok_or("is no URL (it must start with postgresql://)")?;
    // SQLAlchemy names a driver behind the scheme: postgresql+asyncpg.
    if !matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) {
        return Err("is no PostgreSQL URL (it must start with postgresql://)".into());
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).filter_map(translate).collect();
    let config = Config::from_str(&format!("postgresql://{address}?{}", parameters.join("&")));
    let mut config = config.map_err(|error| format!("can't be read: {}", in_one_line(&error)))?;
    if config.get_hosts().is_empty() {
        return Err("names no host".into());
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(ADDRESS_LIMIT);
    }
    Ok(config)
}

/// A parameter of the URL in words that tokio-postgres knows; `None` for one that says what is done anyway.
fn translate(pair: &str) -> Option<Cow<'_, str>> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mode = match (name, value) {
        // The public authorities are trusted anyway; others come in DATABASE_CA_CERT.
        ("sslrootcert", _) => return None,
        ("sslmode" | "ssl", "verify-ca" | "verify-full" | "require" | "true") => "require",
        ("sslmode" | "ssl", "allow" | "prefer") => "prefer",
        ("ssl", "disable" | "false") => "disable",
        _ => return Some(Cow::Borrowed(pair)),
    };
    Some(Cow::Owned(format!("sslmode={mode}")))
}

/// TLS that always verifies the server's certificate and its host name.
fn tls(ca_certificates: Option<&str>, direct: bool) -> Result<MakeRustlsConnect, &'static str> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(certificates) = ca_certificates {
        let pem = match certificates.contains("-----BEGIN") {
            true => certificates.as_bytes().to_vec(),
            false => {
                std::fs::read(Path::new(certificates)).map_err(|_| "is neither PEM nor a file to read")?
            }
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| "holds broken PEM")?;
            roots.add(certificate).map_err(|_| "holds a certificate that can't be read")?;
        }
        if roots.len() == before {
            return Err("holds no certificate");
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if direct {
        // Without the usual negotiation the server knows only by this that PostgreSQL is meant.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::{ChannelBinding, Host, SslMode};

    use super::*;
    use crate::variables::read_for_test;

    fn parse(url: &str) -> Config {
        parse_url(url).unwrap_or_else(|mistake| panic!("{url} {mistake}"))
    }

    #[test]
    fn neons_url_is_taken_as_it_is_pasted() {
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
    fn every_spelling_of_tls_is_understood() {
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
            assert_eq!(parse(&format!("postgres://u:p@h/db{query}")).get_ssl_mode(), mode, "{query}");
        }
        let direct = parse("postgres://u:p@h/db?sslmode=require&sslnegotiation=direct");
        assert_eq!(direct.get_ssl_negotiation(), SslNegotiation::Direct);
    }

    #[test]
    fn the_ancestors_urls_are_understood() {
        let config = parse("postgresql+asyncpg://u:p@h:6543/db?ssl=require&options=endpoint%3Dep-cool");
        assert_eq!(config.get_ports(), [6543]);
        assert_eq!(config.get_options(), Some("endpoint=ep-cool"));
    }

    #[test]
    fn a_broken_url_is_told_without_quoting_it() {
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
    fn a_broken_ca_certificate_is_told() {
        let error = |certificates| {
            let error = DatabaseConfig::new("postgres://h/db", Some(certificates)).expect_err("broken");
            error.describe("DATABASE_URL")
        };
        assert_eq!(error("/no/such/file"), "DATABASE_CA_CERT is neither PEM nor a file to read");
        let key = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        assert_eq!(error(key), "DATABASE_CA_CERT holds no certificate");
        assert_eq!(error("-----BEGIN CERTIFICATE-----\nAAAA"), "DATABASE_CA_CERT holds broken PEM");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(broken), "DATABASE_CA_CERT holds a certificate that can't be read");
    }

    #[test]
    fn neon_database_url_serves_and_the_unpooled_one_is_for_migrations() {
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
