# Argo CD: an Application from a bare Git repository of this machine is synced,
# again after a commit, and again after a part of Argo CD died.

step "gitops: an application from a bare repository"
repository=$work/argo-cd/hooks.git
git init --quiet --bare --initial-branch=main "$repository"
git_in() { git -C "$work/argo-cd/clone" -c user.name=selftest -c user.email=selftest@example.com "$@"; }
git clone --quiet "$repository" "$work/argo-cd/clone" 2>/dev/null
# commit TEXT: a new state of the repository.
commit() {
	cat >"$work/argo-cd/clone/object.yaml" <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: from-git}
data: {text: $1}
YAML
	git_in checkout --quiet -B main
	git_in add --all
	git_in commit --quiet --message "$1"
	git_in push --quiet origin main
}
commit first
cat >"$work/argo-cd/application.yaml" <<YAML
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: hooks, namespace: argocd}
spec:
  project: default
  source: {repoURL: "file://$repository", targetRevision: main, path: .}
  destination: {server: https://kubernetes.default.svc, namespace: gitops}
  syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}
YAML
k one apply -f "$work/argo-cd/application.yaml" >&2
synced() { k one get application hooks -n argocd -o 'jsonpath={.status.sync.status} {.status.health.status}'; }
text() { k one get configmap from-git -n gitops -o 'jsonpath={.data.text}'; }
refresh() { k one annotate application hooks -n argocd --overwrite argocd.argoproj.io/refresh=normal >&2; }
until_is 120 first text
until_is 120 "Synced Healthy" synced

step "gitops: a commit"
commit second
refresh
until_is 120 second text

step "gitops: what is changed by hand is put back"
k one patch configmap from-git -n gitops --patch '{"data":{"text":"by hand"}}' >&2
until_is 120 second text

step "gitops: its parts die and come back"
"$testbed" kill one argocd-repo-server
"$testbed" kill one argocd-application-controller
commit third
"$testbed" start one argocd-repo-server
"$testbed" start one argocd-application-controller
refresh
until_is 120 third text

step "gitops: the command line"
value() { "$testbed" list | sed -n "s/^ *\"$1\": \"\(.*\)\",*/\1/p" | head -n 1; }
# `list` has a "server" of the cluster too; Argo CD's has no scheme.
server=$("$testbed" list | sed -n 's/^ *"server": "\([0-9.:]*\)",*/\1/p')
argocd() { "$here/bin/argo-cd/argocd" --config "$work/argo-cd/cli" --plaintext --server "$server" "$@"; }
argocd login "$server" --username admin --password "$(value password)" >&2
expect "the application's revision" "$(argocd app get hooks | sed -n 's/^Sync Status:.*(\(.*\))/\1/p')" "$(git_in rev-parse --short=7 HEAD)"
