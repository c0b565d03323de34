//! What a socket proves of itself and demands of its peers: a mechanism, a role, keys or
//! credentials. Never changed after it was made, so that a handshake under way keeps what it began
//! with, whatever the socket is told meanwhile.

const std = @import("std");
const assert = std.debug.assert;

const curve = @import("curve.zig");
const Mechanism = @import("mechanism.zig").Mechanism;
const plain = @import("plain.zig");
const sodium = @import("../crypto/sodium.zig");

/// In memory of libsodium's for secrets. A socket that moves to a proxy's thread leaves connections
/// behind for their linger time, so two threads may hold one.
pub const Security = struct {
    references: std.atomic.Value(u32) = .init(1),
    mechanism: Mechanism,
    server: bool,
    /// The owner decides about each peer.
    authenticate: bool,
    user: [plain.credential_bytes_max]u8 = undefined,
    password: [plain.credential_bytes_max]u8 = undefined,
    user_bytes: u8 = 0,
    password_bytes: u8 = 0,
    keys: curve.Keys = undefined,

    pub const Error = error{ OutOfMemory, BadKey };

    pub const Role = struct { server: bool = false, authenticate: bool = false };

    fn create(mechanism: Mechanism, role: Role) error{OutOfMemory}!*Security {
        sodium.init() catch return error.OutOfMemory;
        const security = try sodium.create_secret(Security);
        security.* = .{
            .mechanism = mechanism,
            .server = role.server,
            .authenticate = role.authenticate,
        };
        return security;
    }

    /// NULL, where the owner decides by the address of a peer.
    pub fn init_null(role: Role) Error!*Security {
        return create(.null, role);
    }

    pub fn init_plain(role: Role, given: plain.Credentials) Error!*Security {
        assert(given.user.len <= plain.credential_bytes_max);
        assert(given.password.len <= plain.credential_bytes_max);
        const security = try create(.plain, role);
        // A password that nobody looks at would let everybody in.
        if (role.server) security.authenticate = true;
        @memcpy(security.user[0..given.user.len], given.user);
        @memcpy(security.password[0..given.password.len], given.password);
        security.user_bytes = @intCast(given.user.len);
        security.password_bytes = @intCast(given.password.len);
        return security;
    }

    /// `server_key` and `public_key` are a client's; a server's are made of its secret one.
    pub fn init_curve(
        role: Role,
        secret_key: *const sodium.SecretKey,
        public_key: *const sodium.PublicKey,
        server_key: *const sodium.PublicKey,
    ) Error!*Security {
        const security = try create(.curve, role);
        errdefer security.release();
        const own = sodium.public_key(secret_key);
        security.keys = .{
            .server = if (role.server) own else server_key.*,
            .public = own,
            .secret = secret_key.*,
        };
        if (role.server) return security;
        // Two halves that do not belong together would fail at each server, and say nothing.
        if (!sodium.equal(32, &own, public_key)) return error.BadKey;
        try check_server_key(server_key, secret_key);
        return security;
    }

    /// The last one that was good: a program with a thousand clients has one server, mostly.
    threadlocal var server_key_checked: sodium.PublicKey = @splat(0);

    /// Public keys of small order are no keys, whatever secret one they meet.
    fn check_server_key(
        server_key: *const sodium.PublicKey,
        secret_key: *const sodium.SecretKey,
    ) error{BadKey}!void {
        if (std.mem.eql(u8, server_key, &server_key_checked)) {
            // Zeros are not one that was good.
            if (!std.mem.allEqual(u8, server_key, 0)) return;
        }
        var shared: sodium.SharedKey = undefined;
        defer sodium.wipe(&shared);
        try sodium.shared_key(&shared, server_key, secret_key);
        server_key_checked = server_key.*;
    }

    pub fn credentials(security: *const Security) plain.Credentials {
        return .{
            .user = security.user[0..security.user_bytes],
            .password = security.password[0..security.password_bytes],
        };
    }

    pub fn retain(security: *Security) *Security {
        _ = security.references.fetchAdd(1, .monotonic);
        return security;
    }

    pub fn release(security: *Security) void {
        const before = security.references.fetchSub(1, .acq_rel);
        assert(before > 0);
        if (before == 1) sodium.destroy_secret(security);
    }
};
