//! What becomes of a message for a peer whose queue is full, where nobody waits for it: it is lost,
//! or older ones make room for it, or the peer loses its connection.

const Pipe = @import("../core/pipe.zig").Pipe;
const Socket = @import("socket.zig").Socket;

/// True: there is room now. Otherwise the message is for the caller to count.
pub fn make_room(socket: *Socket, pipe: *Pipe) bool {
    const record = socket.record;
    switch (socket.options.policy()) {
        .drop_newest => {},
        .drop_oldest => {
            record.dropped_high_water_mark += pipe.make_room();
            // What is on its way cannot be dropped, and may be all there is.
            return !pipe.send_full;
        },
        // Without a connection it is not the peer that is slow.
        .disconnect => if (pipe.connected and !pipe.doomed_link.linked()) {
            record.slow_peers += 1;
            pipe.doom(.slow_peer);
        },
    }
    return false;
}
