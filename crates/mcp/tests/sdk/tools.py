"""Every tool, called by the official client and judged by what it did to the store.

    tools.py BELL FOLDER

The client checks each answer against the schema that its tool declares. What happened is read with the command line,
so that a tool cannot vouch for itself. At the end no tool may be left uncalled.
"""

import asyncio
import json
import subprocess
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import PaginatedRequestParams

BELL, FOLDER = sys.argv[1:]
STORE = f"sqlite:{FOLDER}/bell.db"
checks = 0


def bell(*args):
    said = subprocess.run([BELL, *args, "--json", "--store", STORE], capture_output=True, text=True, cwd=FOLDER)
    return json.loads(said.stdout)


def task(name):
    return bell("task", "show", name)


def same(found, expected, what):
    global checks
    checks += 1
    if found != expected:
        raise SystemExit(f"{what}: found {found!r}, expected {expected!r}")


class Agent:
    """A session, and the names of the tools that it called."""

    def __init__(self, session):
        self.session = session
        self.called = set()

    async def result(self, tool, arguments):
        result = await self.session.call_tool(tool, arguments)
        self.called.add(tool)
        same(json.loads(result.content[0].text), result.structured_content, f"{tool}: text and data")
        return result

    async def __call__(self, tool, **arguments):
        result = await self.result(tool, arguments)
        same(bool(result.is_error), False, f"{tool} {arguments}: {result.structured_content}")
        return result.structured_content

    async def no(self, tool, code, **arguments):
        result = await self.result(tool, arguments)
        same(bool(result.is_error), True, f"{tool} {arguments}: {result.structured_content}")
        same(result.structured_content["code"], code, f"{tool} {arguments}")
        return result.structured_content


async def core(agent):
    a = (await agent("task_add", prompt="write it", priority="high", needs=["python"]))["task"]
    same(task(a)["state"], "ready", "task_add")
    same(task(a)["priority"], 8, "task_add: priority")
    same((await agent("task_claim"))["leases"], [], "task_claim: a capability is missing")
    lease = (await agent("task_claim", capabilities=["python"], agent="ann"))["leases"][0]
    same((lease["task"], task(a)["lease"]["worker"]), (a, "ann"), "task_claim")
    await agent("task_start", task=a, token=lease["token"])
    await agent("task_progress", task=a, progress={"percent": 50})
    same(task(a)["progress"], {"percent": 50}, "task_progress")
    await agent("task_release", task=a)
    same(task(a)["state"], "ready", "task_release")
    await agent("task_claim", task=a, capabilities=["python"])
    parts = (await agent("task_subtasks", task=a, subtasks=[{"prompt": "part"}]))["subtasks"]
    same((task(a)["state"], task(parts[0])["state"]), ("blocked", "ready"), "task_subtasks")
    await agent("task_claim", task=parts[0])
    await agent("task_fail", task=parts[0], error="no idea", retry=False)
    same((task(parts[0])["state"], task(parts[0])["error"]), ("failed", "no idea"), "task_fail")
    lease = (await agent("task_claim", capabilities=["python"]))["leases"][0]
    same(lease["results"][parts[0]]["error"], "no idea", "task_claim: results of subtasks")
    question = (await agent("task_ask", question="go on?", task=a))["question"]
    same(bell("breakpoint", "list")["breakpoints"][0]["task"], question, "task_ask")
    bell("breakpoint", "resolve", question, "--answer", '"yes"')
    await agent("task_claim", capabilities=["python"])
    await agent("task_complete", task=a, result={"done": True})
    same((task(a)["state"], task(a)["result"]), ("completed", {"done": True}), "task_complete")
    same((await agent("task_why", task=a))["state"], "completed", "task_why")
    await agent.no("task_complete", "token-needed", task=a)


async def classic(agent):
    def call(tool, **arguments):
        return agent(f"orchestration_{tool}", **arguments)

    await call("register_agent", agent_id="bob", capabilities=["sql"])
    same((await call("get_agent_health", agent_id="bob"))["status"], "healthy", "register_agent")
    await agent.no("orchestration_register_agent", "agent-exists", agent_id="bob", capabilities=[])
    a = (await call("create_task", content="query", task_type="analysis", priority="high", requirements=["sql"]))["task_id"]
    same((task(a)["kind"], task(a)["priority"], task(a)["needs"]), ("analysis", 8, ["sql"]), "create_task")
    b = (await call("create_task", content="report", task_type="synthesis", dependencies=[a]))["task_id"]
    same(task(b)["state"], "blocked", "create_task: dependencies")
    same([t["id"] for t in (await call("poll_tasks"))["tasks"]], [a], "poll_tasks")
    same((await call("find_capable_agents", requirements=["sql"]))["count"], 1, "find_capable_agents")
    same((await call("route_task", task_id=a))["selected_agent"], "bob", "route_task")
    await call("assign_task", task_id=a, agent_id="bob")
    same((task(a)["state"], task(a)["lease"]["worker"]), ("assigned", "bob"), "assign_task")
    await call("start_task", task_id=a)
    same(task(a)["state"], "running", "start_task")
    await call("complete_task", task_id=a, result="rows", metrics={"duration_ms": 1200})
    same((task(a)["result"], task(b)["state"]), ("rows", "ready"), "complete_task")
    same((await call("get_task_status", task_id=a))["duration_ms"], 1200, "get_task_status")
    await call("assign_task", task_id=b, agent_id="bob")
    await call("start_task", task_id=b)
    await call("fail_task", task_id=b, error="boom")
    same(task(b)["state"], "retrying", "fail_task")
    same((await call("query_tasks", task_type="synthesis"))["tasks"][0]["id"], b, "query_tasks")
    await call("update_agent_performance", agent_id="bob", success=True, duration_ms=1000)
    # The task that it completed, and what was reported on top.
    same((await call("get_agent_health", agent_id="bob"))["total_completed"], 2, "update_agent_performance")
    same((await call("get_routing_stats"))["total_tasks"], bell("queue", "status")["total_tasks"], "get_routing_stats")
    same((await call("get_queue_metrics"))["completed"], bell("queue", "status")["completed"], "get_queue_metrics")
    same((await call("get_health"))["agents"]["total_agents"], 1, "get_health")
    same(isinstance((await call("get_recommendations"))["recommendations"], list), True, "get_recommendations")
    await call("deregister_agent", agent_id="bob")
    same((await call("get_health"))["agents"]["total_agents"], 0, "deregister_agent")
    missing = await agent.no("orchestration_get_task_status", "task-not-found", task_id="zzz")
    same(missing["error"], "Task zzz not found", "an error object")


async def service(agent):
    a = await agent("task_enqueue", description="collect", source="agent_planner", base_priority=7)
    b = await agent("task_enqueue", description="build", source="human", prerequisites=[a["task_id"]])
    shown = task(b["task_id"])
    same((b["status"], b["dependency_depth"]), (shown["state"], shown["depth"]), "task_enqueue")
    same((await agent("task_get", task_id=a["task_id"]))["source"], "agent_planner", "task_get")
    listed = await agent("task_list", source="agent_planner", limit=5)
    same([t["id"] for t in listed["tasks"]], [a["task_id"]], "task_list")
    plan = await agent("task_execution_plan", task_ids=[b["task_id"], a["task_id"]])
    same(plan["batches"], [[a["task_id"]], [b["task_id"]]], "task_execution_plan")
    cancelled = await agent("task_cancel", task_id=a["task_id"])
    same(cancelled["cascaded_task_ids"], [b["task_id"]], "task_cancel")
    same(task(b["task_id"])["state"], "cancelled", "task_cancel: what depends on it")
    same((await agent("task_queue_status"))["total_tasks"], bell("queue", "status")["total_tasks"], "task_queue_status")
    missing = await agent.no("task_get", "task-not-found", task_id="zzz")
    same(missing["error"], "NotFoundError", "task_get: an error object")


async def events(agent):
    wanted = {"agent_id": "ann", "event_pattern": "task_created"}
    subscription = (await agent("subscribe_to_events", **wanted))["subscription_id"]
    spec = {"tasks": {"one": {"prompt": "one"}, "two": {"prompt": "two", "after": ["one"]}}}
    begun = await agent("execute_workflow", workflow_spec=spec)
    same(bell("runs", "list")["runs"][0]["id"], begun["execution_id"], "execute_workflow")
    told = (await agent("subscribe_to_events", **wanted))["events"]
    same([event["key"] for event in told], ["one", "two"], "subscribe_to_events")
    same((await agent("get_execution_status", task_id=begun["execution_id"]))["status"], "active", "get_execution_status")
    same(isinstance((await agent("get_orchestration_insights"))["patterns"], list), True, "get_orchestration_insights")
    same((await agent("unsubscribe_from_events", subscription_id=subscription))["unsubscribed"], True, "unsubscribe")


async def verbs(agent):
    """The command line as tools; one that writes and one that reads stand for all."""
    added = await agent("bell_task_add", name="by hand", id="by-hand")
    same(task("by-hand"), added, "bell_task_add")
    same(await agent("bell_queue_status"), bell("queue", "status"), "bell_queue_status")


async def texts(agent):
    session = agent.session
    names = [prompt.name for prompt in (await session.list_prompts()).prompts]
    same(names, ["work_loop", "plan_from_goal"], "prompts")
    loop = await session.get_prompt("work_loop", {"capabilities": "python"})
    same("task_claim" in loop.messages[0].content.text, True, "work_loop")
    uris = [str(resource.uri) for resource in (await session.list_resources()).resources]
    same("bell://queue" in uris, True, "resources")
    queue = await session.read_resource("bell://queue")
    same(json.loads(queue.contents[0].text), bell("queue", "status"), "bell://queue")


async def main():
    server = StdioServerParameters(command=BELL, args=["mcp", "--tools", "all", "--store", STORE], cwd=FOLDER)
    async with stdio_client(server) as (read, write):
        async with ClientSession(read, write) as session:
            hello = await session.initialize()
            same(hello.server_info.name, "bellwether", "serverInfo")
            agent = Agent(session)
            await core(agent)
            await classic(agent)
            await service(agent)
            await events(agent)
            await verbs(agent)
            await texts(agent)
            tools, cursor = set(), None
            while True:
                page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
                tools |= {tool.name for tool in page.tools}
                cursor = page.next_cursor
                if not cursor:
                    break
            own = {tool for tool in tools if not tool.startswith("bell_")}
            same(own - agent.called, set(), "tools that were not called")
    print(f"{len(agent.called)} tools, {checks} checks")


asyncio.run(main())
