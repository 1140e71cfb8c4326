//! A relay between functions and database that resets a client and keeps back what the client sent, or the answer.
//!
//! It understands nothing of what it relays, so it works the same over TLS and with any framing: a cut hits a
//! connection that was open before the cut was armed, and whatever that connection sends next is a request.

use std::{
    io,
    net::SocketAddr,
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

/// How long a side must be silent to have sent everything.
const SILENCE: Duration = Duration::from_millis(100);

/// What happens to a request. In either case its client is reset, and the server does not notice.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// The client is reset as soon as it has sent the request, which reaches the server only this much later.
    Request(Duration),
    /// The request reaches the server at once, but its answer never reaches the client.
    Answer,
}

/// A relay. It ends with the tokio runtime.
pub struct Relay {
    /// Where clients connect to it.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    armed: Mutex<Option<Armed>>,
    /// Whether new connections have to wait.
    closed: watch::Sender<bool>,
    accepted: AtomicUsize,
}

struct Armed {
    cut: Cut,
    /// Connections with this number or a higher one are too new to be hit.
    accepted: usize,
    delivered: oneshot::Sender<()>,
}

impl Relay {
    /// A relay on 127.0.0.1 in front of a server on 127.0.0.1.
    pub async fn start(server_port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), server_port)
    }

    /// A relay on this listener in front of a server on 127.0.0.1.
    pub fn on(listener: TcpListener, server_port: u16) -> Self {
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move { relay(client, server_port, &state).await });
            }
        });
        Self { address, state }
    }

    /// Cuts the next request that comes by a connection that is already open. The receiver hears when the server has
    /// answered it.
    pub fn arm(&self, cut: Cut) -> oneshot::Receiver<()> {
        let (delivered, receiver) = oneshot::channel();
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        *self.state.armed() = Some(Armed { cut, accepted, delivered });
        receiver
    }

    /// Accepts new connections, but relays nothing on them until [`Relay::open`] is called.
    pub fn close(&self) {
        self.state.closed.send_replace(true);
    }

    /// Ends what [`Relay::close`] began.
    pub fn open(&self) {
        self.state.closed.send_replace(false);
    }
}

impl State {
    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().expect("no test panics here")
    }
}

async fn relay(mut client: TcpStream, server_port: u16, state: &State) -> io::Result<()> {
    let number = state.accepted.fetch_add(1, Ordering::SeqCst);
    state.closed.subscribe().wait_for(|closed| !closed).await.map_err(io::Error::other)?;
    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let bytes = &from_client[..read?];
                if bytes.is_empty() {
                    return server.shutdown().await;
                }
                let armed = state.armed().take_if(|armed| number < armed.accepted);
                if let Some(armed) = armed {
                    return cut(client, server, bytes.to_vec(), armed).await;
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut from_server) => {
                let bytes = &from_server[..read?];
                if bytes.is_empty() {
                    return client.shutdown().await;
                }
                client.write_all(bytes).await?;
            }
        }
    }
}

/// Cuts a request of which this much has been read.
async fn cut(
    mut client: TcpStream,
    mut server: TcpStream,
    mut bytes: Vec<u8>,
    armed: Armed,
) -> io::Result<()> {
    client.set_zero_linger()?;
    match armed.cut {
        Cut::Request(held) => {
            read_on(&mut client, &mut bytes).await?;
            drop(client);
            sleep(held).await;
            server.write_all(&bytes).await?;
            read_answer(&mut server).await?;
        }
        Cut::Answer => {
            server.write_all(&bytes).await?;
            read_answer(&mut server).await?;
            drop(client);
        }
    }
    // Nobody may be interested any more.
    armed.delivered.send(()).ok();
    Ok(())
}

async fn read_answer(server: &mut TcpStream) -> io::Result<()> {
    server.readable().await?;
    read_on(server, &mut Vec::new()).await
}

/// Reads until the other side is silent.
async fn read_on(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while let Ok(read) = timeout(SILENCE, stream.read_buf(bytes)).await {
        if read? == 0 {
            break;
        }
    }
    Ok(())
}
