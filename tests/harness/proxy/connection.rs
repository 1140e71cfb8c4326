//! One connection through the proxy: recognizes moments, and applies faults.
//!
//! It does not parse statements, and can't decrypt TLS. It recognizes moments by which side sends next, and
//! by counting TLS records, whose headers (a type, a length) are not encrypted.

use std::{io, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use super::{ArmedCut, Cut, DELAY, Moment, NetworkFault, SILENCE, State, lock};

/// How long the server's end of a stalled connection stays open.
const STALLED: Duration = Duration::from_secs(5);

/// Messages that the client sends in a SCRAM login (RFC 5802): user name, first message, proof.
const LOGIN_MESSAGES: usize = 3;

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

pub(super) async fn connection(
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
    let is_call = progress.phase == Phase::Session;
    let due = state.moment().filter(|moment| match moment {
        Moment::Tls => begins_tls,
        Moment::BeforeStatement | Moment::MidStatement => is_call,
        _ => false,
    });
    if due == Some(Moment::MidStatement) {
        let end = bytes.split_off(bytes.len().saturating_sub(8));
        ends.server.write_all(&bytes).await?;
        // Gives the server time to act on what was passed on.
        sleep(SILENCE).await;
        bytes = end;
    }
    if let Some(fault) = due.and_then(|moment| state.fault(moment))
        && !ends.apply(fault, &mut bytes).await?
    {
        return Ok(false);
    }
    let reply = lock(&state.reply).clone().filter(|_| is_call);
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
    let due = state.moment().filter(|moment| match moment {
        Moment::Login => progress.phase == Phase::LoggedIn,
        Moment::BeforeResponse | Moment::MidResponse => progress.phase == Phase::Session,
        _ => false,
    });
    if due.is_some() {
        read_until_silent(&mut ends.server, &mut bytes).await?;
    }
    if due == Some(Moment::MidResponse) {
        let end = bytes.split_off(bytes.len().saturating_sub(8));
        ends.client.write_all(&bytes).await?;
        bytes = end;
    }
    if let Some(fault) = due.and_then(|moment| state.fault(moment))
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
