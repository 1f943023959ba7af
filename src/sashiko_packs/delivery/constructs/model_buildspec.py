"""What the build that delivers an approved version runs.

Git gets the connection's own credential from CodeBuild (`git-credential-helper` of "Build
specification reference for CodeBuild", CodeBuild User Guide). That a connection may push is in
"Permissions for using connections" (`ProviderAction` has `GitPush`; Developer Tools console User
Guide). The same list has `CreatePullRequest`, but AWS documents no operation that opens one, so a
person does. GitLab opens a merge request by an option of the push ("Push options", GitLab Docs).
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sashiko.account.delivery_names import model_build_name
from sashiko.account.names import alerts_topic_arn
from sashiko.settings.delivery import Delivery
from sashiko.settings.tools import Tools

_CONFIG: Final = "~/deliver.config"


@dataclass(frozen=True, kw_only=True)
class Host:
    """Where a repository is.

    Attributes:
        source_type: as CodeBuild names it.
        site: the beginning of the repository's URL.
        change: the page below the repository's that opens, or shows, the change of a branch.
        push_options: which open it with the push.
    """

    source_type: str
    site: str
    change: str
    push_options: tuple[str, ...] = ()


HOSTS: Mapping[str, Host] = {
    "github": Host(
        source_type="GITHUB",
        site="https://github.com",
        change="compare/{target}...{branch}?expand=1",
    ),
    "gitlab": Host(
        source_type="GITLAB",
        site="https://gitlab.com",
        change="-/merge_requests?source_branch={branch}",
        push_options=("merge_request.create", "merge_request.target={target}"),
    ),
    "bitbucket": Host(
        source_type="BITBUCKET",
        site="https://bitbucket.org",
        change="pull-requests/new?source={branch}",
    ),
}


def repository_url(delivery: Delivery) -> str:
    """Returns the URL that the repository is cloned from."""
    source = delivery.source
    return f"{HOSTS[source.host].site}/{source.repository}.git"


def model_buildspec(tools: Tools) -> str:
    """Returns the buildspec; the variables ENVIRONMENT and ROLE say for which environment."""
    topic_arn = alerts_topic_arn(tools.settings)
    script = [
        "set -euo pipefail",
        "make deploy-tools",
        *_delivering(tools.delivery),
        *_telling(tools.delivery, topic_arn),
    ]
    return json.dumps(
        {
            "version": 0.2,
            "env": {"shell": "bash", "git-credential-helper": "yes"},
            "phases": {
                "install": {"runtime-versions": {"python": "3.11"}},
                # One command: what it sets and defines holds to its end, and not beyond.
                "build": {"commands": ["\n".join(script)]},
                "post_build": {"commands": [_failing(model_build_name(tools), topic_arn)]},
            },
        },
        indent=1,
    )


def _delivering(delivery: Delivery) -> list[str]:
    """Commits and pushes.

    CodeBuild checks a commit out, and the command starts at a branch. The command alone acts as the
    environment's role. A push that another build has overtaken is refused (`--force-with-lease`);
    the second try then takes the branch that is there.
    """
    profile = "[profile deliver]\\nrole_arn = %s\\ncredential_source = EcsContainer\\n"
    target = delivery.source.branch
    options = "".join(
        f" --push-option={shlex.quote(option.format(target=target))}"
        for option in HOSTS[delivery.source.host].push_options
    )
    url = shlex.quote(repository_url(delivery))
    return [
        f"git checkout -B {shlex.quote(target)}",
        f"git remote set-url origin {url} || git remote add origin {url}",
        f"printf '{profile}' \"$ROLE\" > {_CONFIG}",
        "deliver() { "
        'git fetch --prune origin "+refs/heads/model/$ENVIRONMENT/*'
        ':refs/remotes/origin/model/$ENVIRONMENT/*" && '
        f"branch=$(AWS_CONFIG_FILE={_CONFIG} AWS_PROFILE=deliver "
        '.venv/bin/sashiko model deliver --env "$ENVIRONMENT") && '
        'before=$(git rev-parse --quiet --verify "refs/remotes/origin/$branch" || true) && '
        '{ test -z "$branch" || git push --force-with-lease' + options + ' origin "$branch"; }; }',
        "deliver || deliver",
    ]


def _telling(delivery: Delivery, topic_arn: str) -> list[str]:
    """Tells of a branch that is new, or made anew."""
    source = delivery.source
    host = HOSTS[source.host]
    page = host.change.format(target=source.branch, branch="$branch")
    message = f"Review and merge it: {host.site}/{source.repository}/{page}"
    return [
        'if [ -n "$branch" ] && [ "$before" != "$(git rev-parse "$branch")" ]; then '
        f"aws sns publish --topic-arn {topic_arn} "
        f'--subject "$branch: an approved version" --message "{message}"; fi'
    ]


def _failing(name: str, topic_arn: str) -> str:
    message = (
        "Its log: $CODEBUILD_BUILD_URL; after the repair it runs again within a day, or now in a "
        "clone: sashiko model deliver --env $ENVIRONMENT"
    )
    return (
        f'[ "$CODEBUILD_BUILD_SUCCEEDING" = 1 ] || aws sns publish --topic-arn {topic_arn} '
        f'--subject "{name} failed for $ENVIRONMENT" --message "{message}"'
    )
