//! TLS for tests: a certificate authority, a PostgreSQL server with its certificates, and a man in the
//! middle.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_postgres::Client;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key, both as PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new authority that no client trusts yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        let name = format!("Task API test authority {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("random bits");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("valid parameters");
        Self { issuer }
    }

    /// The authority's own certificate as PEM, for clients that should trust it.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for this host name or address. If `expired`, it has expired in 2021.
    pub fn issue(&self, host: &str, expired: bool) -> Certificate {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name");
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("random bits");
        let certificate = params.signed_by(&key, &self.issuer).expect("valid parameters");
        Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes a server of the tests use this certificate for new TLS connections.
pub async fn serve_tls(superuser: &Client, certificate: &Certificate) {
    for (file, pem) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
        // PostgreSQL requires that its own account owns the files and no other account can read them.
        let write = format!(
            "copy (select '{}') to program 'umask 077 && base64 -d > {file}'",
            BASE64_STANDARD.encode(pem)
        );
        superuser.batch_execute(&write).await.expect("the server writes into its own folder");
    }
    superuser.batch_execute("alter system set ssl = on").await.expect("a superuser can change settings");
    // Reloading is asynchronous: connections that begin right after this can still get the old certificate.
    superuser.batch_execute("select pg_reload_conf()").await.expect("a superuser can change settings");
}

/// A man in the middle: terminates the client's TLS with a certificate of its own, and opens another TLS
/// connection to the server. Supports direct negotiation, like PostgreSQL 17 and later.
pub struct TlsProxy {
    /// The port on 127.0.0.1.
    pub port: u16,
    direct: Arc<AtomicUsize>,
}

impl TlsProxy {
    /// Starts one in front of a server on 127.0.0.1 that serves TLS.
    pub async fn start(authority: &Authority, server_port: u16) -> Self {
        let Certificate { certificate, key } = authority.issue("127.0.0.1", false);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let server =
            server.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3").with_no_client_auth();
        let mut server =
            server.with_single_cert(vec![certificate], key).expect("the key belongs to the certificate");
        server.alpn_protocols = vec![b"postgresql".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).expect("PEM");
        roots.add(root).expect("a certificate");
        let client = ClientConfig::builder_with_provider(provider);
        let client = client.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(client));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("the listener is bound").port();
        let direct = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&direct);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let counter = Arc::clone(&counter);
                tokio::spawn(async move { serve(client, server_port, acceptor, connector, &counter).await });
            }
        });
        Self { port, direct }
    }

    /// How many clients have started with the TLS handshake and named PostgreSQL's protocol (ALPN, RFC 7301).
    pub fn direct_connections(&self) -> usize {
        self.direct.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut client: TcpStream,
    server_port: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    direct: &AtomicUsize,
) -> io::Result<()> {
    const SSL_REQUEST: &[u8; 8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    client.set_nodelay(true)?;
    client.peek(&mut first).await?;
    let is_direct = first[0] == HANDSHAKE;
    if !is_direct {
        client.read_exact(&mut [0; 8]).await?;
        client.write_all(b"S").await?;
    }
    let mut client = acceptor.accept(client).await?;
    let named = client.get_ref().1.alpn_protocol() == Some(b"postgresql");
    direct.fetch_add(usize::from(is_direct && named), Ordering::SeqCst);

    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    server.set_nodelay(true)?;
    server.write_all(SSL_REQUEST).await?;
    server.read_exact(&mut [0]).await?;
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut server = connector.connect(name, server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
