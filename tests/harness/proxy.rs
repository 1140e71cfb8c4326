//! A proxy between functions and database that makes a connection fail at a chosen moment, or delivers a
//! request after its client is gone.
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
    sync::{oneshot, watch},
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

impl Moment {
    /// The moments that every connection has.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Login,
        Self::BeforeStatement,
        Self::MidStatement,
        Self::BeforeResponse,
        Self::MidResponse,
    ];

    /// The moments of a call.
    pub const OF_A_CALL: [Self; 4] =
        [Self::BeforeStatement, Self::MidStatement, Self::BeforeResponse, Self::MidResponse];
}

/// What happens to a request whose client is reset without the server noticing.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// The client is reset as soon as it has sent the request. The request reaches the server after this
    /// delay.
    Request(Duration),
    /// The request reaches the server at once, but the response never reaches the client.
    Response,
}

/// Duration of a [`NetworkFault::Delay`].
pub const DELAY: Duration = Duration::from_millis(300);

/// How long the server's end of a stalled connection stays open.
const STALLED: Duration = Duration::from_secs(5);

/// How long a side must send nothing before its message counts as complete.
const SILENCE: Duration = Duration::from_millis(100);

/// Messages that the client sends in a SCRAM login (RFC 5802): user name, first message, proof.
const LOGIN_MESSAGES: usize = 3;

/// A proxy on a port of its own, which runs until the tokio runtime ends.
pub struct Proxy {
    /// The port on which functions reach the database through it.
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: Mutex<Option<Armed>>,
    armed_cut: Mutex<Option<ArmedCut>>,
    /// A message that the client gets instead of the server's response to a call.
    reply: Mutex<Option<Vec<u8>>>,
    /// Whether new connections must wait.
    closed: watch::Sender<bool>,
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

struct ArmedCut {
    cut: Cut,
    /// The connections that were open when the cut was armed. They have logged in, so the next thing that
    /// they send is a request.
    connections: BTreeSet<usize>,
    delivered: oneshot::Sender<()>,
}

impl Proxy {
    /// Starts a proxy in front of a port on 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), server_port)
    }

    /// Starts a proxy that listens here, in front of a port on 127.0.0.1.
    pub fn on(listener: TcpListener, server_port: u16) -> Self {
        let port = listener.local_addr().expect("the listener is bound").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((client, _)) = listener.accept().await {
                let (state, mut hang_up) = (Arc::clone(&shared), shared.hang_up.subscribe());
                let mut forget = shared.forget.subscribe();
                number += 1;
                lock(&state.connections).insert(number);
                tokio::spawn(async move {
                    tokio::select! {
                        // An error is expected: connections are made to fail.
                        _ = connection(client, number, server_port, &state, &mut forget) => {}
                        _ = hang_up.changed() => {}
                    }
                    lock(&state.connections).remove(&number);
                });
            }
        });
        Self { port, state }
    }

    /// Makes a fault happen at the next `times` moments of this kind.
    pub fn arm(&self, fault: NetworkFault, moment: Moment, times: usize) {
        *lock(&self.state.armed) = Some(Armed { fault, moment, times });
    }

    /// Cancels the faults that have not happened yet, and returns their number.
    pub fn disarm(&self) -> usize {
        lock(&self.state.armed).take().map_or(0, |armed| armed.times)
    }

    /// Cuts the next request on a connection that is already open. The receiver is notified when the server
    /// has responded to the request.
    pub fn cut_next(&self, cut: Cut) -> oneshot::Receiver<()> {
        let (delivered, receiver) = oneshot::channel();
        let connections = lock(&self.state.connections).clone();
        *lock(&self.state.armed_cut) = Some(ArmedCut { cut, connections, delivered });
        receiver
    }

    /// Accepts new connections, but passes nothing on until [`Proxy::open`] is called.
    pub fn close(&self) {
        self.state.closed.send_replace(true);
    }

    /// Ends what [`Proxy::close`] began.
    pub fn open(&self) {
        self.state.closed.send_replace(false);
    }

    /// Answers calls with an error of this severity and SQLSTATE instead of passing them on. `None` ends
    /// that.
    pub fn answer_transactions(&self, error: Option<(&str, &str)>) {
        *lock(&self.state.reply) = error.map(|(severity, code)| {
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
        let connections = lock(&self.state.connections).clone();
        self.state.hang_up.send_replace(());
        while !lock(&self.state.connections).is_disjoint(&connections) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked while it held the lock")
}

impl State {
    /// Takes the fault that is due at this moment, if any.
    fn fault(&self, moment: Moment) -> Option<NetworkFault> {
        let mut armed = lock(&self.armed);
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
        lock(&self.armed).as_ref().map(|armed| armed.moment)
    }
}

/// Both ends of a proxied connection.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

/// How far a connection has come, as far as it can be observed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client has at least one message of its login to send.
    Login { messages_left: usize },
    /// The client has sent its whole login. The server reports success next.
    LoggedIn,
    /// The client sends calls.
    Session,
}

impl Phase {
    /// The phase before the client has sent anything.
    const START: Self = Self::Login { messages_left: LOGIN_MESSAGES };

    /// The phase after one more message of the client.
    fn next(self) -> Self {
        match self {
            Self::Login { messages_left: left @ 2.. } => Self::Login { messages_left: left - 1 },
            Self::Login { .. } => Self::LoggedIn,
            Self::LoggedIn | Self::Session => Self::Session,
        }
    }
}

/// What is known about a connection.
struct Progress {
    phase: Phase,
    is_tls: bool,
    is_clients_turn: bool,
}

impl Progress {
    /// Takes note of what the client sends. Returns whether the TLS handshake begins with it.
    fn client_sends(&mut self, bytes: &[u8], new_turn: bool) -> bool {
        const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
        const HANDSHAKE: u8 = 22;
        if !self.is_tls && self.phase == Phase::START && bytes[0] == HANDSHAKE {
            self.is_tls = true;
            // In TLS 1.3, the last record of the client's handshake is encrypted like a message.
            self.phase = Phase::Login { messages_left: LOGIN_MESSAGES + 1 };
            return true;
        }
        // With TLS, turns can't be counted, because the server also sends without being asked.
        let messages = if self.is_tls {
            encrypted_records(bytes)
        } else {
            usize::from(new_turn && bytes != SSL_REQUEST)
        };
        for _ in 0..messages {
            self.phase = self.phase.next();
        }
        false
    }
}

/// Counts the TLS records that carry encrypted data.
fn encrypted_records(mut bytes: &[u8]) -> usize {
    const APPLICATION_DATA: u8 = 23;
    let mut count = 0;
    while let [kind, _, _, high, low, ..] = *bytes {
        count += usize::from(kind == APPLICATION_DATA);
        bytes = bytes.get(5 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
    }
    count
}

async fn connection(
    client: TcpStream,
    number: usize,
    server_port: u16,
    state: &State,
    forget: &mut watch::Receiver<()>,
) -> io::Result<()> {
    state.closed.subscribe().wait_for(|closed| !closed).await.map_err(io::Error::other)?;
    client.set_nodelay(true)?;
    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    server.set_nodelay(true)?;
    let mut ends = Ends { client, server };
    if let Some(fault) = state.fault(Moment::Connect)
        && !ends.apply(fault, &mut Vec::new()).await?
    {
        return Ok(());
    }
    let mut progress = Progress { phase: Phase::START, is_tls: false, is_clients_turn: false };
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
                let cut = lock(&state.armed_cut).take_if(|armed| armed.connections.contains(&number));
                if let Some(cut) = cut {
                    return ends.cut(cut, bytes.to_vec()).await;
                }
                on_client(&mut ends, &mut progress, state, bytes.to_vec()).await?
            }
            read = ends.server.read(&mut from_server) => {
                let bytes = &from_server[..read?];
                if bytes.is_empty() {
                    return ends.client.shutdown().await;
                }
                on_server(&mut ends, &mut progress, state, bytes.to_vec()).await?
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// Passes on what the client sent. Returns whether the connection continues.
async fn on_client(
    ends: &mut Ends,
    progress: &mut Progress,
    state: &State,
    mut bytes: Vec<u8>,
) -> io::Result<bool> {
    let new_turn = !progress.is_clients_turn;
    progress.is_clients_turn = true;
    state.round_trips.fetch_add(usize::from(new_turn), Ordering::SeqCst);
    let begins_tls = progress.client_sends(&bytes, new_turn);
    let fault = match state.moment() {
        Some(moment @ Moment::Tls) if begins_tls => state.fault(moment),
        Some(moment @ Moment::BeforeStatement) if progress.phase == Phase::Session => state.fault(moment),
        Some(moment @ Moment::MidStatement) if progress.phase == Phase::Session => {
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
    let reply = lock(&state.reply).clone().filter(|_| progress.phase == Phase::Session);
    if let Some(reply) = reply {
        progress.is_clients_turn = false;
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
async fn on_server(
    ends: &mut Ends,
    progress: &mut Progress,
    state: &State,
    mut bytes: Vec<u8>,
) -> io::Result<bool> {
    progress.is_clients_turn = false;
    let fault = match state.moment() {
        Some(moment @ Moment::Login) if progress.phase == Phase::LoggedIn => {
            read_until_silent(&mut ends.server, &mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::BeforeResponse) if progress.phase == Phase::Session => {
            read_until_silent(&mut ends.server, &mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::MidResponse) if progress.phase == Phase::Session => {
            read_until_silent(&mut ends.server, &mut bytes).await?;
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

    /// Carries out a cut. `bytes` is what has been read of the request.
    async fn cut(self, armed: ArmedCut, mut bytes: Vec<u8>) -> io::Result<()> {
        let Self { mut client, mut server } = self;
        client.set_zero_linger()?;
        if let Cut::Request(delay) = armed.cut {
            read_until_silent(&mut client, &mut bytes).await?;
            drop(client);
            sleep(delay).await;
            server.write_all(&bytes).await?;
            read_response(&mut server).await?;
        } else {
            server.write_all(&bytes).await?;
            read_response(&mut server).await?;
            drop(client);
        }
        // The receiver may have been dropped.
        armed.delivered.send(()).ok();
        Ok(())
    }
}

async fn read_response(server: &mut TcpStream) -> io::Result<()> {
    server.readable().await?;
    read_until_silent(server, &mut Vec::new()).await
}

/// Reads until the other side has sent nothing for [`SILENCE`].
async fn read_until_silent(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while let Ok(read) = timeout(SILENCE, stream.read_buf(bytes)).await {
        if read? == 0 {
            break;
        }
    }
    Ok(())
}

async fn drain(stream: &mut TcpStream) {
    let mut nothing = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut nothing).await {}
}
