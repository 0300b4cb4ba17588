//! Where connections come from: a socket, or streams of the caller's.

use super::Options;
use super::connection::{self, Context};
use super::tls;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use rumqttc::tokio_rustls::TlsAcceptor;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Who a stream of the caller's is from, for logs.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// A connection's bytes, both ways.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connections of the caller's, as they come in.
pub type Wires = BoxStream<'static, Box<dyn Wire>>;

/// Where connections come from.
pub(super) enum Outside {
    /// The socket of the options.
    Socket,
    Wires(Wires),
}

/// What lets connections in.
pub(super) enum Entrance {
    Socket(TcpListener, Option<TlsAcceptor>),
    Wires(Wires),
}

/// A connection nobody has spoken on yet.
pub(super) enum Arrival {
    Tcp(TcpStream, SocketAddr, Option<TlsAcceptor>),
    Wire(Box<dyn Wire>),
}

impl Outside {
    /// Opens it. The error says why that cannot be now.
    pub async fn open(&mut self, options: &Options) -> Result<Entrance, String> {
        if let Outside::Wires(wires) = self {
            return Ok(Entrance::Wires(std::mem::replace(wires, futures::stream::pending().boxed())));
        }
        let listen = options.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            format!("{listen} cannot be listened on: {error}; is a broker or another gateway running there?")
        })?;
        Ok(Entrance::Socket(listener, tls::acceptor(options)?))
    }
}

impl Entrance {
    pub fn speaks_tls(&self) -> bool {
        matches!(self, Entrance::Socket(_, Some(_)))
    }

    pub async fn accept(&mut self) -> io::Result<Arrival> {
        match self {
            Entrance::Socket(listener, tls) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Arrival::Tcp(stream, peer, tls.clone()))
            }
            Entrance::Wires(wires) => match wires.next().await {
                Some(wire) => Ok(Arrival::Wire(wire)),
                None => std::future::pending().await,
            },
        }
    }
}

impl Arrival {
    /// Serves it until its end.
    pub async fn serve(self, context: Arc<Context>) {
        match self {
            Arrival::Tcp(stream, peer, tls) => connection::serve(stream, peer, tls, context).await,
            Arrival::Wire(wire) => connection::serve_over(wire, NOWHERE, context).await,
        }
    }
}
