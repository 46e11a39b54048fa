//! Who the two sides are, and whom they trust.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::layer::TlsProtocol;
use crate::ground::{Deferred, Resolver};
use crate::transports::Protocol;

/// How long a hand-shake may take, if nothing else is said: as nginx's `ssl_handshake_timeout`, halved, since it is two
/// round trips.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// A certificate, key, root or name that cannot be used.
///
/// ```
/// use ropewalk::tls::TlsClient;
///
/// let error = TlsClient::with_roots_pem(b"no PEM at all").unwrap_err();
/// assert_eq!(error.to_string(), "there is no certificate: no CERTIFICATE section in the PEM");
/// ```
#[derive(Debug)]
pub struct TlsConfigError {
    what: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl TlsConfigError {
    fn new(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> TlsConfigError {
        TlsConfigError { what, source: source.into() }
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(none) if none.is_empty() => {
            Err(TlsConfigError::new("there is no certificate", "no CERTIFICATE section in the PEM"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(TlsConfigError::new("a certificate cannot be read", error)),
    }
}

/// The server's side: a certificate and its key. Cheap to clone.
///
/// ```
/// use ropewalk::http::Server;
/// use ropewalk::tls::TlsServer;
/// use ropewalk::{EventLoop, ListenTcp};
/// use std::time::Duration;
///
/// # let read = |name: &str| std::fs::read(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR")));
/// let tls = TlsServer::from_pem(&read("localhost.pem")?, &read("localhost.key")?)?
///     .handshake_timeout(Duration::from_secs(10));
/// let event_loop = EventLoop::new()?;
/// let site = Server::new().get("/", |_, _| "safe").start(&event_loop)?;
/// site.listen_tls(&event_loop, ListenTcp::new("127.0.0.1:0"), &tls)?;
///
/// // A key that is not the certificate's is an error here, and not at the first client.
/// assert!(TlsServer::from_pem(&read("localhost.pem")?, &read("other.key")?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    handshake: Duration,
}

impl TlsServer {
    /// With a chain of certificates, the server's own first, and its private key, both as PEM. TLS 1.2 and 1.3; HTTP/1.1 is
    /// what is agreed on where a client offers several protocols.
    ///
    /// # Errors
    ///
    /// They cannot be read, or do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<TlsServer, TlsConfigError> {
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsConfigError::new("the private key cannot be read", error))?;
        let chain = certificates(chain)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| TlsConfigError::new("the certificate cannot be used", error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsServer::from_config(Arc::new(config)))
    }

    /// With settings of rustls's own. What they call (a resolver of certificates, a verifier, a key log) is called while
    /// the layer is borrowed: it must not reach back into the connection.
    pub fn from_config(config: Arc<ServerConfig>) -> TlsServer {
        TlsServer { config, handshake: HANDSHAKE }
    }

    /// How long a hand-shake may take. The default is 30 s.
    pub fn handshake_timeout(mut self, time: Duration) -> TlsServer {
        self.handshake = time;
        self
    }

    /// Puts TLS under a protocol: the answer is the protocol for a socket that was accepted. `protocol` hears of the
    /// connection when hands are shaken; if they never are, it is dropped.
    ///
    /// ```no_run
    /// use ropewalk::tls::TlsServer;
    /// use ropewalk::{EventLoop, Failure, Protocol, Transport};
    ///
    /// struct Echo;
    ///
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
    ///         Ok(transport.write(data)?)
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let tls = TlsServer::from_pem(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
    /// event_loop.listen_tcp("127.0.0.1:8443", move |_, _| Some(tls.protocol(Echo)))?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn protocol(&self, protocol: impl Protocol) -> TlsProtocol {
        let connection = ServerConnection::new(self.config.clone()).map(Into::into);
        TlsProtocol::new(connection, protocol.into_boxed(), self.handshake, None, Location::caller())
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

/// The client's side: whom it trusts. Cheap to clone.
///
/// ```
/// use ropewalk::tls::{TlsClient, TlsServer};
/// use ropewalk::{EventLoop, Failure, Protocol, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, _: &EventLoop, transport: &Transport, data: &[u8]) -> Result<(), Failure> {
///         Ok(transport.write(data)?)
///     }
/// }
///
/// /// Says one line, and stops at the answer.
/// struct Ask;
///
/// impl Protocol for Ask {
///     fn connection_made(&mut self, _: &EventLoop, transport: &Transport) -> Result<(), Failure> {
///         Ok(transport.write(b"safe?")?)
///     }
///     fn data_received(&mut self, event_loop: &EventLoop, _: &Transport, data: &[u8]) -> Result<(), Failure> {
///         assert_eq!(data, b"safe?");
///         event_loop.stop();
///         Ok(())
///     }
/// }
///
/// # let read = |name: &str| std::fs::read(format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR")));
/// let event_loop = EventLoop::new()?;
/// let server = TlsServer::from_pem(&read("localhost.pem")?, &read("localhost.key")?)?;
/// let port = event_loop.listen_tcp("127.0.0.1:0", move |_, _| Some(server.protocol(Echo)))?;
///
/// let client = TlsClient::with_roots_pem(&read("root.pem")?)?;
/// let (protocol, shaken) = client.protocol("localhost", Ask)?;
/// let address = port.address().as_tcp().unwrap();
/// event_loop.connect_tcp(address, protocol).log_errors("connecting");
/// shaken.log_errors("shaking hands");
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    handshake: Duration,
}

impl TlsClient {
    /// Trusts what the system trusts.
    ///
    /// # Errors
    ///
    /// The system has no roots, or they cannot be read.
    pub fn with_native_roots() -> Result<TlsClient, TlsConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        match (roots.is_empty(), found.errors.into_iter().next()) {
            (false, _) => Ok(TlsClient::with_roots(roots)),
            (true, Some(error)) => Err(TlsConfigError::new("the system's root certificates cannot be read", error)),
            (true, None) => Err(TlsConfigError::new("the system has no root certificates", "none were found")),
        }
    }

    /// Trusts these roots only, given as PEM.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn with_roots_pem(pem: &[u8]) -> Result<TlsClient, TlsConfigError> {
        let mut roots = RootCertStore::empty();
        for root in certificates(pem)? {
            roots.add(root).map_err(|error| TlsConfigError::new("a root certificate cannot be used", error))?;
        }
        Ok(TlsClient::with_roots(roots))
    }

    fn with_roots(roots: RootCertStore) -> TlsClient {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
        // ring has both versions.
        let mut config = config.expect("the provider has the versions that rustls has");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsClient::from_config(Arc::new(config))
    }

    /// With settings of rustls's own. What they call (a verifier, a key log) is called while the layer is borrowed: it
    /// must not reach back into the connection.
    pub fn from_config(config: Arc<ClientConfig>) -> TlsClient {
        TlsClient { config, handshake: HANDSHAKE }
    }

    /// Whether it is a clone of this one, but for its time limit.
    #[cfg(feature = "http-client")]
    pub(crate) fn trusts_as(&self, other: &TlsClient) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// How long a hand-shake may take. The default is 30 s.
    pub fn handshake_timeout(mut self, time: Duration) -> TlsClient {
        self.handshake = time;
        self
    }

    /// Puts TLS under a protocol: the answer is the protocol for a socket that was connected, and a Deferred that answers
    /// when hands are shaken, which is before `protocol` hears of the connection. If they never are, `protocol` is
    /// dropped.
    ///
    /// `name` is the host's name or IP address, which its certificate must have.
    ///
    /// # Errors
    ///
    /// The name cannot be one. The Deferred fails with [`TlsError`](super::TlsError), or with what the connection was
    /// lost by.
    #[track_caller]
    pub fn protocol(
        &self,
        name: &str,
        protocol: impl Protocol,
    ) -> Result<(TlsProtocol, Deferred<()>), TlsConfigError> {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        let server_name = ServerName::try_from(bare.to_owned())
            .map_err(|error| TlsConfigError::new("a server's name cannot be used", error))?;
        let connection = ClientConnection::new(self.config.clone(), server_name).map(Into::into);
        let (resolver, shaken): (Resolver<()>, _) = Deferred::new();
        let protocol = protocol.into_boxed();
        let tls = TlsProtocol::new(connection, protocol, self.handshake, Some(resolver), Location::caller());
        Ok((tls, shaken))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}
