"""What the Python peers on Redis share: an empty server, and what it says of its durability."""

import redis


def fresh(url: str) -> redis.Redis:
    client = redis.Redis.from_url(url)
    client.flushall()
    return client


def in_force(client: redis.Redis) -> str:
    version = client.info("server")["redis_version"]
    said = {**client.config_get("appendonly"), **client.config_get("appendfsync")}
    return f"Redis {version}, appendonly={said['appendonly']}, appendfsync={said['appendfsync']}"
