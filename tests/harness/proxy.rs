//! A network between functions and database that fails when it is told to.
//!
//! It reads neither statements nor, over TLS, anything at all: moments are told by whose turn it is to speak and by
//! how the bytes are framed, which TLS and PostgreSQL's protocol do alike (a type, a length).

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

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkFault {
    /// It breaks: both ends are reset.
    Reset,
    /// It is closed in good order.
    Close,
    /// Nothing comes through any more, and neither end is told. The server's end is closed 5 s later.
    Stall,
    /// Bytes are lost, and what follows them comes through.
    Drop,
    /// Bits are flipped.
    Corrupt,
    /// What is to come through takes its time: [`DELAY`].
    Delay,
}

/// When it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A connection was accepted.
    Connect,
    /// The client begins the TLS handshake.
    Tls,
    /// The server has let the client in, and tells.
    Login,
    /// The client sends a transaction: no byte of it has come through.
    BeforeStatement,
    /// The client sends a transaction: all but its end has come through.
    MidStatement,
    /// The server has carried out the transaction: no byte of its answer has come through.
    BeforeAnswer,
    /// The server has carried out the transaction: all of its answer but the end has come through.
    MidAnswer,
}

/// How long [`NetworkFault::Delay`] takes.
pub const DELAY: Duration = Duration::from_millis(300);

/// For how long the server is left in the belief that the client of a stalled connection is still there.
const STALLED: Duration = Duration::from_secs(5);

/// How long the server must be silent to have said all, where that can't be told otherwise.
const SILENCE: Duration = Duration::from_millis(100);

/// Turns of the client in a login by SCRAM (RFC 5802): its name, its first message, its proof.
const LOGIN_TURNS: usize = 3;

/// A proxy on a port of its own. It ends with the tokio runtime.
pub struct Proxy {
    /// Where functions reach the database through it.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    armed: Mutex<Option<Armed>>,
    /// A message of the server's that takes the place of its answers to a transaction.
    reply: Mutex<Option<Vec<u8>>>,
    /// Says when all connections are to be closed.
    hang_up: watch::Sender<()>,
    /// Says when all connections are to be forgotten.
    forget: watch::Sender<()>,
    /// The numbers of the connections that are there.
    connections: Mutex<BTreeSet<usize>>,
    round_trips: AtomicUsize,
}

struct Armed {
    fault: NetworkFault,
    moment: Moment,
    times: usize,
}

impl Proxy {
    /// A proxy in front of a port on 127.0.0.1.
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
                        // A connection that fails is what this is for.
                        _ = connection(client, server_port, &state, &mut forget) => {}
                        _ = hang_up.changed() => {}
                    }
                    state.connections().remove(&number);
                });
            }
        });
        Self { port, state }
    }

    /// Has a fault happen at the next such moment, and at the following ones, `times` in all.
    pub fn arm(&self, fault: NetworkFault, moment: Moment, times: usize) {
        *self.state.armed() = Some(Armed { fault, moment, times });
    }

    /// Calls off what has not happened as yet. Gives how often it still would have.
    pub fn disarm(&self) -> usize {
        self.state.armed().take().map_or(0, |armed| armed.times)
    }

    /// Has transactions reach no server, but be answered with an error of this SQLSTATE; `None` ends that.
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

    /// Closes every connection, as a server does that goes away.
    pub async fn hang_up(&self) {
        let connections = self.state.connections().clone();
        self.state.hang_up.send_replace(());
        while !self.state.connections().is_disjoint(&connections) {
            sleep(Duration::from_millis(1)).await;
        }
        // A busy kernel takes its time to tell the other ends.
        sleep(SILENCE).await;
    }

    /// Lets nothing through any more on the connections that there are, and tells nobody, as a router does that has
    /// forgotten them.
    pub fn forget(&self) {
        self.state.forget.send_replace(());
    }

    /// How often, in all, the client has spoken after the server has.
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

    /// The fault that is to happen at this moment.
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

/// The way that bytes take.
struct Ends {
    client: TcpStream,
    server: TcpStream,
}

/// What is known of a talk by listening to it.
#[derive(Default)]
struct Talk {
    clients_turn: bool,
    tls: bool,
    /// What the client has said since it could begin to log in: turns, or records where it speaks TLS, whose server
    /// speaks out of turn.
    said: usize,
}

impl Talk {
    /// What the client says until it is let in. TLS 1.3 has one encrypted record of its own, the handshake's last.
    fn login(&self) -> usize {
        LOGIN_TURNS + usize::from(self.tls)
    }

    fn in_session(&self) -> bool {
        self.said > self.login()
    }

    /// Takes in what the client says. Gives whether TLS begins with it.
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
        && !ends.suffer(fault, &mut Vec::new()).await?
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

/// Whether the connection goes on.
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
            // What came through is acted upon.
            sleep(SILENCE).await;
            bytes = end;
            state.fault(moment)
        }
        _ => None,
    };
    if let Some(fault) = fault
        && !ends.suffer(fault, &mut bytes).await?
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

/// Whether the connection goes on.
async fn on_server(ends: &mut Ends, talk: &mut Talk, state: &State, mut bytes: Vec<u8>) -> io::Result<bool> {
    talk.clients_turn = false;
    let fault = match state.moment() {
        Some(moment @ Moment::Login) if talk.said == talk.login() => {
            ends.hear_out(&mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::BeforeAnswer) if talk.in_session() => {
            ends.hear_out(&mut bytes).await?;
            state.fault(moment)
        }
        Some(moment @ Moment::MidAnswer) if talk.in_session() => {
            ends.hear_out(&mut bytes).await?;
            let end = bytes.split_off(bytes.len().saturating_sub(8));
            ends.client.write_all(&bytes).await?;
            bytes = end;
            state.fault(moment)
        }
        _ => None,
    };
    if let Some(fault) = fault
        && !ends.suffer(fault, &mut bytes).await?
    {
        return Ok(false);
    }
    ends.client.write_all(&bytes).await?;
    Ok(true)
}

impl Ends {
    /// Has a fault happen to bytes on their way. Gives whether the connection goes on, then with what is left of them.
    async fn suffer(&mut self, fault: NetworkFault, bytes: &mut Vec<u8>) -> io::Result<bool> {
        match fault {
            NetworkFault::Reset => {
                self.client.set_zero_linger()?;
                self.server.set_zero_linger()?;
                Ok(false)
            }
            NetworkFault::Close => {
                self.client.shutdown().await?;
                self.server.shutdown().await?;
                // Closing a socket with something unread in it would reset it.
                timeout(STALLED, drain(&mut self.client)).await.ok();
                Ok(false)
            }
            NetworkFault::Stall => {
                // The server's end first: what the server says meanwhile is not to fill its buffers.
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
                // Behind the header of a record of TLS, so that it is the content that is wrong.
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

    /// Reads on until the server has said all.
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
