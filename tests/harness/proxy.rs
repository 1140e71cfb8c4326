//! A proxy between functions and database that makes a connection fail at a chosen moment.
//!
//! It does not parse statements, and can't decrypt TLS. It recognizes moments by which side sends next, and
//! by counting TLS records, whose headers (a type, a length) are not encrypted.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

/// A fault of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkFault {
    /// Both ends are reset.
    Reset,
    /// Both ends are closed in the normal way.
    Close,
    /// Nothing more is passed on, without an error at either end. The server's end is closed 5 s later.
    Stall,
    /// Bytes are lost, and later ones are passed on.
    Drop,
    /// Bits of one byte are flipped.
    Corrupt,
    /// Bytes are held back for [`DELAY`] and then passed on.
    Delay,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A connection has been accepted.
    Connect,
    /// The client begins the TLS handshake.
    Tls,
    /// The login has succeeded, and the server reports it.
    Login,
    /// The client sends a call: nothing of it has been passed on.
    BeforeStatement,
    /// The client sends a call: all but its last 8 bytes have been passed on.
    MidStatement,
    /// The server has committed the call: nothing of its response has been passed on.
    BeforeResponse,
    /// The server has committed the call: all but the last 8 bytes of its response have been passed on.
    MidResponse,
}

/// Duration of a [`NetworkFault::Delay`].
pub const DELAY: Duration = Duration::from_millis(300);

/// How long the server's end of a stalled connection stays open.
const STALLED: Duration = Duration::from_secs(5);

/// How long the server must be silent before its response counts as complete.
const SILENCE: Duration = Duration::from_millis(100);

/// Messages that the client sends in a SCRAM login (RFC 5802): user name, first message, proof.
const LOGIN_TURNS: usize = 3;

/// A proxy on a port of its own, which runs until the tokio runtime ends.
pub struct Proxy {
    /// The port on which functions reach the database through it.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    armed: Mutex<Option<Armed>>,
    /// A message that the client gets instead of the server's response to a call.
    reply: Mutex<Option<Vec<u8>>>,
    /// Tells all connections to close.
    hang_up: watch::Sender<()>,
    /// Tells all connections to pass on nothing more.
    forget: watch::Sender<()>,
    /// The numbers of the open connections.
    connections: Mutex<BTreeSet<usize>>,
    round_trips: AtomicUsize,
}

struct Armed {
    fault: NetworkFault,
    moment: Moment,
    times: usize,
}

impl Proxy {
    /// Starts a proxy in front of a port on 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State {
            armed: Mutex::default(),
            reply: Mutex::default(),
            hang_up: watch::Sender::default(),
            forget: watch::Sender::default(),
            connections: Mutex::default(),
            round_trips: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                let (state, mut hang_up) = (Arc::clone(&shared), shared.hang_up.subscribe());
                let mut forget = shared.forget.subscribe();
                number += 1;
                state.connections().insert(number);
                tokio::spawn(async move {
                    tokio::select! {
                        // An error is expected: connections are made to fail.
                        _ = connection(client, server_port, &state, &mut forget) => {}
                        _ = hang_up.changed() => {}
                    }
                    state.connections().remove(&number);
                });
            }
        });
        Self { port, state }
    }

    /// Makes a fault happen at the next `times` moments of this kind.
    pub fn arm(&self, fault: NetworkFault, moment: Moment, times: usize) {
        *self.state.armed() = Some(Armed { fault, moment, times });
    }

    /// Cancels the faults that have not happened yet, and returns their number.
    pub fn disarm(&self) -> usize {
        self.state.armed().take().map_or(0, |armed| armed.times)
    }

    /// Answers calls with an error of this severity and SQLSTATE instead of passing them on. `None` ends
    /// that.
    pub fn answer_transactions(&self, error: Option<(&str, &str)>) {
        *self.state.reply() = error.map(|(severity, code)| {
            let fields = format!("S{severity}\0V{severity}\0C{code}\0Mon purpose\0\0");
            let length = u32::try_from(fields.len() + 4).expect("a short message");
            let mut message = [b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat();
            if severity == "ERROR" {
                message.extend(b"Z\0\0\0\x05E");
            }
            message
        });
    }

    /// Closes every connection, like a server that shuts down.
    pub async fn hang_up(&self) {
        let connections = self.state.connections().clone();
        self.state.hang_up.send_replace(());
        while !self.state.connections().is_disjoint(&connections) {
            sleep(Duration::from_millis(1)).await;
        }
        // A busy kernel needs some time to report this to the other ends.
        sleep(SILENCE).await;
    }

    /// Passes nothing on any more on the connections that exist, without an error for the functions, like a
    /// router that has dropped them from its tables.
    pub fn forget(&self) {
        self.state.forget.send_replace(());
    }

    /// The total number of round trips: how often a client has sent something after the server has.
    pub fn round_trips(&self) -> usize {
        self.state.round_trips.load(Ordering::SeqCst)
    }
}

impl State {
    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().expect("no test panics here")
    }

    fn reply(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.reply.lock().expect("no test panics here")
    }

    fn connections(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.connections.lock().expect("no test panics here")
    }

    /// Takes the fault that is due at this moment, if any.
    fn fault(&self, moment: Moment) -> Option<NetworkFault> {
        let mut armed = self.armed();
        let due = armed.as_mut().filter(|armed| armed.moment == moment)?;
        due.times -= 1;
        let fault = due.fault;
        if due.times == 0 {
            *armed = None;
        }
        Some(fault)
    }

    /// The moment of the armed fault.
    fn moment(&self) -> Option<Moment> {
        self.armed().as_ref().map(|armed| armed.moment)
    }
}

/// Both ends of a proxied connection.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

/// The state of a connection, as far as it can be observed.
#[derive(Default)]
struct Talk {
    clients_turn: bool,
    tls: bool,
    /// How much the client has sent since the login could begin: its turns, or its TLS records. With TLS,
    /// turns can't be counted, because the server also sends without being asked.
    said: usize,
}

impl Talk {
    /// What [`Talk::said`] is when the login is complete. In TLS 1.3, the last record of the client's
    /// handshake is encrypted as well.
    fn login(&self) -> usize {
        LOGIN_TURNS + usize::from(self.tls)
    }

    fn in_session(&self) -> bool {
        self.said > self.login()
    }

    /// Counts what the client sends. Returns whether the TLS handshake begins with it.
    fn client_says(&mut self, bytes: &[u8], new_turn: bool) -> bool {
        const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
        const HANDSHAKE: u8 = 22;
        const APPLICATION_DATA: u8 = 23;
        if self.tls {
            let mut rest = bytes;
            while let [kind, _, _, high, low, ..] = *rest {
                self.said += usize::from(kind == APPLICATION_DATA);
                rest = rest.get(5 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
            }
            return false;
        }
        self.tls = self.said == 0 && bytes[0] == HANDSHAKE;
        self.said += usize::from(new_turn && !self.tls && bytes != SSL_REQUEST);
        self.tls
    }
}

async fn connection(
    client: TcpStream,
    server_port: u16,
    state: &State,
    forget: &mut watch::Receiver<()>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    server.set_nodelay(true)?;
    let mut ends = Ends { client, server };
    if let Some(fault) = state.fault(Moment::Connect)
        && !ends.apply(fault, &mut Vec::new()).await?
    {
        return Ok(());
    }
    let mut talk = Talk::default();
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let goes_on = tokio::select! {
            _ = forget.changed() => {
                ends.server.shutdown().await?;
                drain(&mut ends.client).await;
                return Ok(());
            }
            read = ends.client.read(&mut from_client) => {
                let bytes = &from_client[..read?];
                if bytes.is_empty() {
                    return ends.server.shutdown().await;
                }
                on_client(&mut ends, &mut talk, state, bytes.to_vec()).await?
            }
            read = ends.server.read(&mut from_server) => {
                let bytes = &from_server[..read?];
                if bytes.is_empty() {
                    return ends.client.shutdown().await;
                }
                on_server(&mut ends, &mut talk, state, bytes.to_vec()).await?
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Passes on what the client sent. Returns whether the connection continues.
async fn on_client(ends: &mut Ends, talk: &mut Talk, state: &State, mut bytes: Vec<u8>) -> io::Result<bool> {
    let new_turn = !talk.clients_turn;
    talk.clients_turn = true;
    state.round_trips.fetch_add(usize::from(new_turn), Ordering::SeqCst);
    let begins_tls = talk.client_says(&bytes, new_turn);
    let fault = match state.moment() {
        Some(moment @ Moment::Tls) if begins_tls => state.fault(moment),
        Some(moment @ Moment::BeforeStatement) if talk.in_session() => state.fault(moment),
        Some(moment @ Moment::MidStatement) if talk.in_session() => {
            let end = bytes.split_off(bytes.len().saturating_sub(8));
            ends.server.write_all(&bytes).await?;
            // Gives the server time to act on what was passed on.
            sleep(SILENCE).await;
            bytes = end;
            state.fault(moment)
        }
        _ => None,
    };
    if let Some(fault) = fault
        && !ends.apply(fault, &mut bytes).await?
    {
        return Ok(false);
    }
    let reply = state.reply().clone().filter(|_| talk.in_session());
    if let Some(reply) = reply {
        talk.clients_turn = false;
        ends.client.write_all(&reply).await?;
        let fatal = !reply.ends_with(b"E");
        if fatal {
            ends.client.shutdown().await?;
        }
        return Ok(!fatal);
    }
    ends.server.write_all(&bytes).await?;
    Ok(true)
}

/// Passes on what the server sent. Returns whether the connection continues.
async fn on_server(ends: &mut Ends, talk: &mut Talk, state: &State, mut bytes: Vec<u8>) -> io::Result<bool> {
    talk.clients_turn = false;
    let fault = match state.moment() {
        Some(moment @ Moment::Login) if talk.said == talk.login() => {
            ends.hear_out(&mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::BeforeResponse) if talk.in_session() => {
            ends.hear_out(&mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::MidResponse) if talk.in_session() => {
            ends.hear_out(&mut bytes).await?;
            let end = bytes.split_off(bytes.len().saturating_sub(8));
            ends.client.write_all(&bytes).await?;
            bytes = end;
            state.fault(moment)
        }
        _ => None,
    };
    if let Some(fault) = fault
        && !ends.apply(fault, &mut bytes).await?
    {
        return Ok(false);
    }
    ends.client.write_all(&bytes).await?;
    Ok(true)
}

impl Ends {
    /// Applies a fault to bytes in transit. Returns whether the connection continues; then `bytes` is what to
    /// pass on.
    async fn apply(&mut self, fault: NetworkFault, bytes: &mut Vec<u8>) -> io::Result<bool> {
        match fault {
            NetworkFault::Reset => {
                self.client.set_zero_linger()?;
                self.server.set_zero_linger()?;
                Ok(false)
            }
            NetworkFault::Close => {
                self.client.shutdown().await?;
                self.server.shutdown().await?;
                // Closing a socket that contains unread data would reset the connection.
                timeout(STALLED, drain(&mut self.client)).await.ok();
                Ok(false)
            }
            NetworkFault::Stall => {
                // Keeps reading from the server, so that the server's send buffer does not fill up.
                timeout(STALLED, drain(&mut self.server)).await.ok();
                self.server.shutdown().await.ok();
                drain(&mut self.client).await;
                Ok(false)
            }
            NetworkFault::Drop => {
                bytes.clear();
                Ok(true)
            }
            NetworkFault::Corrupt => {
                // The middle lies after the TLS record's header, so the record's content is corrupted.
                let place = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 0x55;
                }
                Ok(true)
            }
            NetworkFault::Delay => {
                sleep(DELAY).await;
                Ok(true)
            }
        }
    }

    /// Reads until the server has sent its whole response.
    async fn hear_out(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut more = vec![0; 64 * 1024];
        while let Ok(read) = timeout(SILENCE, self.server.read(&mut more)).await {
            match read? {
                0 => break,
                count => bytes.extend_from_slice(&more[..count]),
            }
        }
        Ok(())
    }
}

async fn drain(stream: &mut TcpStream) {
    let mut nothing = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut nothing).await {}
}
