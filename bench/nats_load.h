// A connection that speaks NATS.
#pragma once

#include "load.h"

struct Message {
    enum Kind { MSG, PING, PONG, ERROR, OTHER } kind;
    const char *reply, *body;  // into the connection's buffer, until compact()
    size_t reply_size, size;
};

struct NatsConnection : Connection {
    // The next whole message that was read, if there is one.
    bool next(Message &m) {
        size_t eol = in.find("\r\n", at);
        if (eol == std::string::npos) return false;
        const char *line = in.data() + at;
        size_t size = eol - at;
        m = Message{Message::OTHER, nullptr, line, 0, size};
        if (size > 4 && memcmp(line, "MSG ", 4) == 0) {
            // MSG <subject> <sid> [reply-to] <size>
            const char *words[5] = {line}, *end = line + size;
            size_t count = 1;
            for (const char *p = line; p < end && count < 5; p++)
                if (*p == ' ') words[count++] = p + 1;
            size_t bytes = strtoul(words[count - 1], nullptr, 10);
            if (in.size() < eol + 2 + bytes + 2) return false;
            m.kind = Message::MSG;
            if (count == 5) {
                m.reply = words[3];
                m.reply_size = words[4] - 1 - words[3];
            }
            m.body = in.data() + eol + 2;
            m.size = bytes;
            at = eol + 2 + bytes + 2;
            return true;
        }
        if (size >= 4 && memcmp(line, "PING", 4) == 0) m.kind = Message::PING;
        if (size >= 4 && memcmp(line, "PONG", 4) == 0) m.kind = Message::PONG;
        if (size >= 4 && memcmp(line, "-ERR", 4) == 0) m.kind = Message::ERROR;
        at = eol + 2;
        return true;
    }

    void publish(const char *to, size_t to_size, const char *reply, size_t reply_size, const char *body,
                 size_t size) {
        out.append("PUB ").append(to, to_size).append(" ");
        if (reply_size) out.append(reply, reply_size).append(" ");
        out.append(std::to_string(size)).append("\r\n").append(body, size).append("\r\n");
    }
};
