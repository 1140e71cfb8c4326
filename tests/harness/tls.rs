//! A certificate authority of the tests' own, and a PostgreSQL server that shows its certificates.

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use tokio_postgres::Client;

/// Signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both as PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new authority that nobody knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "The tests' own authority");
        let key = KeyPair::generate().expect("random bits");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("sound parameters");
        Self { issuer }
    }

    /// Its own certificate as PEM, for those who are to trust it.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server of this host name or address, which may have run out long ago.
    pub fn issue(&self, host: &str, expired: bool) -> Certificate {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name");
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("random bits");
        let certificate = params.signed_by(&key, &self.issuer).expect("sound parameters");
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Has a server of the tests show this certificate to those who ask for TLS, from now on.
pub async fn serve_tls(superuser: &Client, certificate: &Certificate) {
    for (file, pem) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
        // The server's own account is to own the files, and nobody else to read them.
        let write = format!(
            "copy (select '{}') to program 'umask 077 && base64 -d > {file}'",
            BASE64_STANDARD.encode(pem)
        );
        superuser.batch_execute(&write).await.expect("the server writes into its own folder");
    }
    superuser.batch_execute("alter system set ssl = on").await.expect("superusers may");
    // It is not waited for by anything but new connections.
    superuser.batch_execute("select pg_reload_conf()").await.expect("superusers may");
}
